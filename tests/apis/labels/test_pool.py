"""Scores of a pool by a small model: the values that its own probabilities give."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from support.user_folder import write_folder
from torch.nn import functional

from mmseg_ext.apis.labels.choice import choose_images
from mmseg_ext.apis.labels.pool import ScorePool, without_labels
from mmseg_ext.apis.labels.strategies import STRATEGIES
from mmseg_ext.apis.predict import memory as estimate
from mmseg_ext.apis.predict import scores
from mmseg_ext.apis.predict.strips import predict_windows
from mmseg_ext.apis.userdata.read import read_data_file


def build(dropout=0.3):
    init_default_scope('mmseg')
    norm = dict(type='BN')
    settings = Config(
        dict(
            type='EncoderDecoder',
            data_preprocessor=dict(
                type='SegDataPreProcessor', mean=[127.5] * 3, std=[127.5] * 3, size_divisor=16,
                pad_val=0, seg_pad_val=255, test_cfg=dict(size_divisor=16)),
            backbone=dict(
                type='ResNetV1c', depth=18, base_channels=4, stem_channels=4, num_stages=4,
                strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), norm_cfg=norm),
            decode_head=dict(
                type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1,
                concat_input=False, dropout_ratio=dropout, num_classes=3, norm_cfg=norm,
                loss_decode=dict(type='CrossEntropyLoss')),
            train_cfg=None, test_cfg=dict(mode='whole')))  # fmt: skip
    model = MODELS.build(settings._cfg_dict)
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
             dict(type='PackSegInputs')]  # fmt: skip
    model.cfg = Config(dict(test_pipeline=steps))
    model.dataset_meta = dict(classes=('background', 'cat', 'dog'))
    return model.eval()


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp('pool'), np.random.default_rng(0)
    for name, size in (('a', (40, 52)), ('b', (33, 20)), ('c', (40, 52))):
        cv2.imwrite(str(folder / f'{name}.png'), random.integers(0, 255, (*size, 3)))
    return {name: str(folder / f'{name}.png') for name in 'abc'}


@pytest.fixture(scope='module')
def model():
    return build()


def own_prob(model, path, *, flip=False):
    """Probabilities by the network alone: normalised, padded to 16, cut."""
    image = torch.from_numpy(cv2.imread(path)).permute(2, 0, 1).float()
    image = image.flip(-1) if flip else image
    height, width = image.shape[1:]
    padded = functional.pad((image - 127.5) / 127.5, (0, -width % 16, 0, -height % 16))
    with torch.no_grad():
        logits = model._forward(padded[None])
    logits = functional.interpolate(logits, size=padded.shape[1:], mode='bilinear')
    return logits[0, :, :height, :width].softmax(0)


@pytest.mark.parametrize('name', sorted(scores.OF_ONE_PASS))
def test_an_image_has_the_mean_of_its_pixels(model, images, name):
    found = ScorePool(model, name)(images)
    assert found.names == ('a', 'b', 'c')
    for index, path in enumerate(images.values()):
        prob = own_prob(model, path)
        assert prob.shape[1:] == cv2.imread(path).shape[:2]  # without padding
        expected = scores.OF_ONE_PASS[name](prob).double().mean().item()
        assert found.scores[index] == pytest.approx(expected, rel=1e-5)
        assert found.pixels[index].tolist() == np.bincount(
            prob.argmax(0).ravel(), minlength=3).tolist()  # fmt: skip
        by_class = (scores.entropy(prob) * prob).double().mean((1, 2))
        np.testing.assert_allclose(found.class_scores[index], by_class, rtol=1e-5)
    assert found.features.shape == (3, 32) and found.background == 0


def test_the_mirror_image_is_turned_back(model, images):
    found = ScorePool(model, 'flip')(images)
    one, other = (own_prob(model, images['a'], flip=flip) for flip in (False, True))
    expected = scores.flip_disagreement(one, other).double().mean().item()
    assert found.scores[0] == pytest.approx(expected, rel=1e-5) and expected > 1e-4


@pytest.mark.parametrize('name', sorted(scores.OF_DROPOUT))
def test_dropout_drops_in_passes_and_stays_out_of_the_rest(model, images, name):
    state = {key: value.clone() for key, value in model.state_dict().items()}
    draws = torch.random.get_rng_state()
    pool = ScorePool(model, name, passes=4, seed=1)
    first = pool(images)
    assert (first.scores > 0).all()
    assert np.array_equal(pool(images).scores, first.scores)
    alone = pool({'b': images['b']})  # what is scored beside an image does not matter
    assert alone.scores[0] == first.scores[1]
    assert not np.array_equal(ScorePool(model, name, passes=4, seed=2)(images).scores, first.scores)
    assert not any(module.training for module in model.modules())
    assert torch.equal(torch.random.get_rng_state(), draws)
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


def test_regions_are_candidates_of_their_own(model, images):
    found = ScorePool(model, regions='windows', size=16)(images)
    rows, columns = 3, 4
    assert found.names[: rows * columns] == tuple(f'a#{i}' for i in range(12))
    assert len(found.names) == 12 + 6 + 12
    entropy = scores.entropy(own_prob(model, images['a']))
    assert found.scores[5] == pytest.approx(entropy[16:32, 16:32].mean().item(), rel=1e-4)
    assert found.scores[11] == pytest.approx(entropy[32:, 48:].mean().item(), rel=1e-4)
    assert found.pixels.sum(1)[[5, 11]].tolist() == [256, 32]
    assert found.features.shape == (30, 32) and np.isfinite(found.features).all()


def test_scoring_is_one_forward_pass_an_image(model, images, monkeypatch):
    passes = []
    step = model.test_step
    monkeypatch.setattr(model, 'test_step', lambda data: passes.append(1) or step(data))
    ScorePool(model, 'entropy')(images)
    assert len(passes) == 3


def test_what_has_labels_keeps_its_features_only(model, images):
    found = without_labels(ScorePool(model)(images), {'b'})
    assert found.names == ('a', 'c') and len(found.scores) == 2
    assert found.labelled_features.shape == (1, 32)
    assert without_labels(ScorePool(model)({}), set()).names == ()


def test_scores_that_cannot_be_are_one_line(model, images):
    with pytest.raises(ValueError, match='the model has none: take entropy'):
        ScorePool(build(dropout=0), 'bald')
    with pytest.raises(ValueError, match='at least 2, got 1'):
        ScorePool(model, 'bald', passes=1)
    with pytest.raises(ValueError, match="got 'entropi'"):
        ScorePool(model, 'entropi')
    broken = build()
    torch.nn.init.constant_(broken.decode_head.conv_seg.weight, float('nan'))
    with pytest.raises(ValueError, match='a.png: the model answers with NaN'):
        ScorePool(broken)(images)


def test_an_image_that_would_not_fit_into_memory_is_named_before_it_is_scored(
    model, images, tmp_path, monkeypatch
):
    large = tmp_path / 'large.png'  # (1100, 1000): above the size that is never estimated
    cv2.imwrite(str(large), np.zeros((1100, 1000, 3), np.uint8))
    monkeypatch.setattr(ScorePool, '_one', lambda *_: pytest.fail('it was scored'))
    data = dict(
        inputs=torch.zeros(3, 1100, 1000),
        data_samples=SegDataSample(metainfo=dict(ori_shape=(1100, 1000))),
    )
    memory = estimate.Memory(model)
    once = memory.needed(data['inputs'], (1100, 1000), True)
    assert once > 1100 * 1000 * (4 * 3 + 4 * 3)  # the image and its probabilities, as floats
    monkeypatch.setattr(estimate, 'free_memory', lambda *_: once + 1)
    memory.check_probabilities('large.png', data)
    each = 2 * 4 * 3 * 1100 * 1000  # bytes of a further pass, alone and beside the others
    monkeypatch.setattr(estimate, 'free_memory', lambda *_: once + 3 * each - 1)
    memory.check_probabilities('large.png', data, 3)
    with pytest.raises(ValueError, match='large.png is 1000x1100, and the prob.* GB are free: cut'):
        ScorePool(model, 'bald', 4, 'windows')(dict(large=str(large)))
    monkeypatch.setattr(estimate, 'free_memory', lambda *_: 0)
    with pytest.raises(ValueError, match='large.png'):
        ScorePool(model)(dict(large=str(large)))


@pytest.fixture
def crowded(monkeypatch):
    """Too little memory for all probabilities of an image, but enough for windows."""
    monkeypatch.setattr(estimate, 'SMALL', 0)
    monkeypatch.setattr(estimate.Memory, '_fit', lambda *_: True)
    monkeypatch.setattr(estimate.Memory, 'free', 0)


@pytest.mark.parametrize('name', scores.SCORES)
def test_one_window_scores_as_the_whole_image(model, images, name, request):
    whole = ScorePool(model, name, passes=3)(images)
    request.getfixturevalue('crowded')
    found = ScorePool(model, name, passes=3)(images)
    np.testing.assert_allclose(found.scores, whole.scores, rtol=4e-3)  # of half precision
    np.testing.assert_allclose(found.class_scores, whole.class_scores, rtol=4e-3)
    np.testing.assert_allclose(found.features, whole.features, rtol=1e-5)
    assert np.abs(found.pixels - whole.pixels).max() <= 2  # ties
    assert found.names == whole.names and found.pixels.sum(1).tolist() == [2080, 660, 2080]


def test_windows_add_up_to_the_blended_image(model, images, crowded, monkeypatch):
    """Of several windows: the same as the scores of their blended probabilities, put together."""
    monkeypatch.setattr(estimate, '_SIDES', (24,))
    image = torch.from_numpy(cv2.imread(images['a'])).permute(2, 0, 1)
    windows = estimate.Windows((24, 24), (18, 18), smooth=True)
    assert [len(places) for places in windows.starts((40, 52))] == [2, 3]
    meta = SegDataSample(metainfo=dict(ori_shape=(40, 52), img_shape=(40, 52)))
    both = []
    for turned in (image, image.flip(-1)):
        with torch.inference_mode():
            joined = predict_windows(model, turned, meta, windows, keep_prob=True)
        both.append(torch.from_numpy(joined.prob).float())
    own = own_prob(model, images['a'])
    assert (both[0] - own).abs().max() > 0.01  # windows see less
    for name, expected in (
        ('margin', scores.margin(both[0])),
        ('flip', scores.flip_disagreement(*both)),
    ):
        found = ScorePool(model, name)(dict(a=images['a']))
        assert found.scores[0] == pytest.approx(expected.double().mean().item(), rel=1e-6)
        counts = np.bincount(both[0].argmax(0).ravel(), minlength=3)
        assert found.pixels[0].tolist() == counts.tolist()
        by_class = (scores.entropy(both[0]) * both[0]).double().mean((1, 2))
        np.testing.assert_allclose(found.class_scores[0], by_class, rtol=1e-6)


def test_what_windows_cannot_score_is_named(model, images, crowded, monkeypatch):
    broken = build()
    torch.nn.init.constant_(broken.decode_head.conv_seg.weight, float('nan'))
    with pytest.raises(ValueError, match='a.png: the model answers with NaN'):
        ScorePool(broken)(images)
    resized = build()
    steps = [resized.cfg.test_pipeline[0], dict(type='Resize', scale=(64, 64)),
             dict(type='PackSegInputs')]  # fmt: skip
    resized.cfg = Config(dict(test_pipeline=steps))
    with pytest.raises(ValueError, match='a.png is 52x40, .*cut it into tiles, or take it away'):
        ScorePool(resized)(images)
    monkeypatch.setattr(estimate.Memory, '_fit', lambda *_: False)
    with pytest.raises(ValueError, match='a.png is 52x40, .*cut it into tiles, or take it away'):
        ScorePool(model)(images)


@pytest.mark.parametrize('strategy', sorted(STRATEGIES))
def test_every_strategy_chooses_among_images_without_a_mask(model, tmp_path, strategy):
    write_folder(tmp_path, size=(40, 40), counts=(8, 1))
    for index in range(5):
        (tmp_path / f'masks/train/{index}.png').unlink()
    data = read_data_file(tmp_path / 'mine.yml')
    out = tmp_path / 'chosen.txt'
    chosen = choose_images(model, data, strategy, 3, out, passes=2)
    assert out.read_text().split() == chosen
    assert len(set(chosen)) == 3 and set(chosen) <= set('01234')
    assert choose_images(model, data, strategy, 3, out, passes=2) == chosen
    with pytest.raises(ValueError, match='6 labels are asked for, and 5 candidates'):
        choose_images(model, data, strategy, 6, out)


def test_top_of_a_choice_is_the_most_unsure(model, tmp_path):
    write_folder(tmp_path, size=(40, 40), counts=(4, 1))
    for path in (tmp_path / 'masks/train').iterdir():
        path.unlink()
    files = {str(i): str(tmp_path / f'images/train/{i}.png') for i in range(4)}
    means = {name: scores.entropy(own_prob(model, path)).mean() for name, path in files.items()}
    data = read_data_file(tmp_path / 'mine.yml')
    chosen = choose_images(model, data, 'entropy', 4, tmp_path / 'chosen.txt')
    assert chosen == sorted(means, key=lambda name: -means[name])
