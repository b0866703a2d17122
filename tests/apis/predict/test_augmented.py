"""Test-time augmentation: what mmseg's own gives on the same image, whole and in windows."""

import copy

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmseg.models.segmentors import SegTTAModel
from mmseg.structures import SegDataSample

from mmseg_ext.apis.predict.augmented import Augmented
from mmseg_ext.apis.predict.memory import Memory
from mmseg_ext.apis.predict.predictor import Failure, predict
from mmseg_ext.apis.predict.strips import predict_windows
from mmseg_ext.apis.predict.windows import Windows
from mmseg_ext.apis.run.load import load_model
from mmseg_ext.apis.run.options import use_tta

SCALED = """
_base_ = {base!r}
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale_factor=r, keep_ratio=True) for r in (0.5, 1.0, 1.75)],
        [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1., direction='vertical')],
        [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])]
"""


@pytest.fixture(scope='module')
def config(tiny_config, tmp_path_factory):
    path = tmp_path_factory.mktemp('tta') / 'scaled.py'
    path.write_text(SCALED.format(base=str(tiny_config)))
    return path


@pytest.fixture(scope='module')
def model(config, random_weights):
    return load_model(config, random_weights(config, config.parent / 'w.pth'), device='cpu')


@pytest.fixture(scope='module')
def photo(tmp_path_factory):
    coarse = np.random.default_rng(8).integers(0, 256, (6, 7, 3)).astype(np.uint8)
    path = tmp_path_factory.mktemp('photo') / 'a.png'
    cv2.imwrite(str(path), cv2.resize(coarse, (71, 46)))
    return path


def _of_mmseg(model, photo) -> np.ndarray:
    """The data loader's pipeline and mmseg's model, without any of our code."""
    steps = copy.deepcopy(model.cfg.tta_pipeline)
    steps[1]['transforms'] = [
        [step for step in alternatives if step['type'] != 'LoadAnnotations']
        for alternatives in steps[1]['transforms']
    ]
    steps[1]['transforms'] = [
        alternatives for alternatives in steps[1]['transforms'] if alternatives
    ]
    data = Compose(steps)(dict(img_path=str(photo), seg_fields=[], reduce_zero_label=False))
    batch = {key: [[one] for one in values] for key, values in data.items()}
    with torch.inference_mode():
        (sample,) = SegTTAModel(module=model).test_step(batch)
    return sample.pred_sem_seg.data[0].numpy()


def test_it_is_mmsegs(model, photo):
    (result,) = predict(Augmented(model), [photo], keep_prob=True)
    expected = _of_mmseg(model, photo)
    np.testing.assert_array_equal(result.label, expected)
    (plain,) = predict(model, [photo])
    assert (plain.label != expected).any()  # else it would show nothing
    assert (result.prob.argmax(0) == result.label).mean() > 0.999  # float16 makes ties
    (array,) = predict(Augmented(model), [result.picture], keep_prob=True)
    np.testing.assert_array_equal(array.prob, result.prob)


def test_without_a_pipeline_it_is_the_mirror_image(model, photo, tiny_config):
    mirror = copy.copy(model)
    mirror.cfg = copy.deepcopy(model.cfg)
    mirror.cfg.tta_pipeline = None
    (result,) = predict(Augmented(mirror), [photo], keep_prob=True)
    bgr = cv2.imread(str(photo))
    answers = predict(model, [bgr[..., ::-1], bgr[:, ::-1, ::-1]], keep_prob=True)
    one, other = (answer.prob.astype(float) for answer in answers)
    np.testing.assert_allclose(result.prob, (one + other[..., ::-1]) / 2, atol=1e-3)
    from mmseg_ext.apis.run.config import load_config

    cfg = load_config(tiny_config)
    cfg.tta_pipeline = None
    use_tta(cfg)  # tools/test.py --tta takes the same
    flips, *others = cfg.test_dataloader.dataset.pipeline[1]['transforms']
    assert [step['prob'] for step in flips] == [0.0, 1.0]
    assert [step[0]['type'] for step in others] == ['LoadAnnotations', 'PackSegInputs']
    assert cfg.model.type == 'AveragedTTAModel'


def test_windows_are_augmented_one_by_one(model, photo):
    bgr = cv2.imread(str(photo))
    size = bgr.shape[:2]
    image = torch.from_numpy(bgr.transpose(2, 0, 1).copy())
    sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size))
    augmented = Augmented(model)
    with torch.inference_mode():
        whole = predict_windows(augmented, image, sample, Windows((64, 80), (48, 60)))
        cut = predict_windows(augmented, image, sample, Windows((46, 40), (46, 31)), keep_prob=True)
    (at_once,) = predict(augmented, [photo])
    np.testing.assert_array_equal(whole.label, at_once.label)
    left, right = predict(augmented, [bgr[:, :40, ::-1], bgr[:, 31:, ::-1]], keep_prob=True)
    np.testing.assert_array_equal(cut.prob[..., :31], left.prob[..., :31])
    np.testing.assert_array_equal(cut.prob[..., 40:], right.prob[..., 9:])


def test_memory_is_that_of_the_largest_scale(model):
    image = torch.empty((3, 1000, 1000), dtype=torch.uint8, device='meta')
    plain, larger = Memory(model), Memory(Augmented(model))
    assert larger._network(image, (400, 400)) == plain._network(image, (700, 700))


def test_a_pipeline_to_a_fixed_size_is_not_cut(model, photo, monkeypatch):
    from mmseg_ext.apis.predict import memory as estimate

    fixed = copy.copy(model)
    fixed.cfg = copy.deepcopy(model.cfg)
    fixed.cfg.tta_pipeline[1]['transforms'][0] = [dict(type='Resize', scale=(64, 48))]
    (result,) = predict(Augmented(fixed), [photo])
    assert result.label.shape == (46, 71)
    monkeypatch.setattr(estimate, 'SMALL', 2000)
    monkeypatch.setattr(estimate, 'free_memory', lambda *_: 100_000)
    (failure,) = predict(Augmented(fixed), [photo])
    assert isinstance(failure, Failure) and 'augmentation has Resize: cut it' in failure.reason


def test_a_single_channel_is_averaged_as_probabilities():
    """Of two probabilities below and above the threshold; mmseg's second sigmoid exceeds it."""
    from types import SimpleNamespace

    from mmengine.structures import PixelData

    from mmseg_ext.models.segmentors.averaged import AveragedTTAModel

    class Single(torch.nn.Module):
        out_channels, decode_head = 1, SimpleNamespace(threshold=0.3)

        def test_step(self, data):
            raise NotImplementedError

    def sample(*values):
        return SegDataSample(seg_logits=PixelData(data=torch.tensor([[values]])))

    (merged,) = AveragedTTAModel(Single()).merge_preds([[sample(0.1, 0.2), sample(0.3, 0.6)]])
    assert merged.pred_sem_seg.data.tolist() == [[[0, 1]]]
    torch.testing.assert_close(merged.seg_logits.data, torch.tensor([[[0.2, 0.4]]]))


def test_a_model_that_merges_in_its_own_way_is_refused(model):
    own = copy.copy(model)
    own.cfg = copy.deepcopy(model.cfg)
    own.cfg.tta_model = dict(type='MyTTAModel')
    with pytest.raises(ValueError, match='tta_model.type=MyTTAModel .*: test with tools/test.py'):
        Augmented(own)
