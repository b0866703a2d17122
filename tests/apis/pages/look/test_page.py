"""tools/dataset.py show: pictures against the tensors, counts and words against numbers by hand."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner, set_random_seed
from mmseg.registry import MODELS
from PIL import Image
from support.paths import ROOT
from support.user_folder import write_folder_with_unlabelled

from mmseg_ext.apis import run
from mmseg_ext.apis.draw.blocks import Examples
from mmseg_ext.apis.pages.look import geometry
from mmseg_ext.apis.pages.look.geometry import Draw, measure
from mmseg_ext.apis.pages.look.masks import count_masks, images_with, rarest_class
from mmseg_ext.apis.pages.look.page import _views, label_picture, write_look
from mmseg_ext.apis.pages.look.samples import Seen, first_samples, picture_of
from mmseg_ext.apis.pages.look.words import objects_in_words, size_in_words, steps_in_words

MEAN, STD = [100.0, 110.0, 120.0], [50.0, 60.0, 70.0]
LOAD, PACK = [dict(type='LoadImageFromFile'), dict(type='LoadLabels')], [dict(type='PackSegInputs')]
CROP = dict(type='RandomCrop', crop_size=(50, 50))
CAMVID = ROOT / 'configs/mfp/mfp_mobilenetv2_camvid.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return write_folder_with_unlabelled(tmp_path_factory.mktemp('look'))


@pytest.fixture
def semi(folder):
    cfg = run.load_config(CAMVID, dataset=folder / 'mine.yml')
    run.use_semi_data(cfg, 'unimatch', folder / 'mine.yml')
    return cfg


def _config(folder, *steps, size=(50, 50), **more):
    """Images of 100 x 150 in three classes, of which row 0 is ignored."""
    meta = dict(classes=('background', 'cat', 'dog'), palette=[[0, 0, 0], [255, 0, 0], [0, 0, 9]])
    data = dict(
        type='FolderDataset', data_root=str(folder), metainfo=meta,
        label_map={7: 1, 9: 2}, pipeline=[*LOAD, *steps, *PACK],
        data_prefix=dict(img_path='images/train', seg_map_path='masks/train'),
    )  # fmt: skip
    loader = dict(batch_size=2, num_workers=0, dataset=data)
    loader['sampler'] = dict(type='InfiniteSampler', shuffle=True)
    preprocessor = dict(
        type='SegDataPreProcessor', mean=MEAN, std=STD, bgr_to_rgb=True, pad_val=0,
        seg_pad_val=255, size=size,
    )  # fmt: skip
    model = dict(type='EncoderDecoder', data_preprocessor=preprocessor)
    return Config(dict(model=model, train_dataloader=loader, **more))


def _pngs(html):
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', html.read_text())
    assert found
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]


def test_pictures_of_the_page_are_what_the_preprocessor_yields(folder, tmp_path):
    cfg = _config(folder, CROP, dict(type='PhotoMetricDistortion'), size=(64, 64))
    shown = _pngs(write_look(cfg, tmp_path / 'page.html', number=4, seed=5))
    set_random_seed(5)
    batches = iter(Runner.build_dataloader(cfg.train_dataloader, seed=5))
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    done = [preprocessor(next(batches), True) for _ in range(2)]
    inputs = torch.cat([one['inputs'] for one in done])
    assert inputs.shape == (4, 3, 64, 64)
    for place, values in enumerate(inputs):
        rgb = shown[2 * place].astype(np.float64)  # photo and label map alternate
        back = torch.from_numpy((rgb - MEAN) / STD).permute(2, 0, 1)
        assert (back - values).abs().max() < 0.5 / 50 + 1e-4  # half a grey level
        truth = done[place // 2]['data_samples'][place % 2].gt_sem_seg.data[0].numpy()
        assert (truth[50:] == 255).all() and (truth[:, 50:] == 255).all()


def test_a_sample_is_the_file_flipped_and_padded_with_the_mean(folder):
    cfg = _config(folder, dict(type='RandomFlip', prob=1.0), size=(110, 160))
    for sample in first_samples(cfg, 3, seed=1):
        stored = np.asarray(Image.open(folder / 'images/train' / sample.name))
        np.testing.assert_array_equal(sample.picture[:100, :150], stored[:, ::-1])
        assert (sample.picture[100:] == MEAN).all() and (sample.picture[:, 150:] == MEAN).all()
        assert (sample.label[100:] == 255).all() and (sample.label[0] == 255).all()
        mask = np.asarray(Image.open(folder / 'masks/train' / sample.name))[:, ::-1]
        np.testing.assert_array_equal(sample.label[:100, :150] == 2, mask == 9)


def test_inputs_without_normalisation_or_of_one_channel_are_shown_as_they_are():
    values = torch.tensor([[[0.0, 254.6], [300.0, -4.0]]])
    expected = np.array([[0, 255], [255, 0]])[..., None].repeat(3, -1)
    np.testing.assert_array_equal(picture_of(values, {}), expected)
    bgr = torch.tensor([1.0, 2.0, 3.0])[:, None, None]
    assert picture_of(bgr, {})[0, 0].tolist() == [3, 2, 1]
    assert picture_of(bgr, dict(bgr_to_rgb=True))[0, 0].tolist() == [1, 2, 3]


def test_ignored_pixels_are_striped_and_background_is_clear():
    label = np.zeros((16, 16), np.int64)
    label[:8], label[8:, 8:] = 255, 1
    names, palette = ('background', 'cat'), [[0, 0, 0], [255, 0, 0]]
    content = label_picture(label, names, palette, alt='').content
    shown = np.asarray(Image.open(io.BytesIO(content)).convert('RGBA'))
    assert (shown[8:, :8, 3] == 0).all() and (shown[8:, 8:] == [255, 0, 0, 255]).all()
    assert {tuple(pixel) for pixel in shown[:8].reshape(-1, 4)} == {
        (64, 64, 64, 255), (224, 224, 224, 255)}  # fmt: skip
    assert (shown[:8, :, 0] == 64).mean() == 0.5


def test_the_seed_decides(folder, tmp_path):
    cfg = _config(folder, CROP)
    first, again, other = (
        write_look(cfg, tmp_path / f'{place}.html', number=2, seed=seed).read_bytes()
        for place, seed in enumerate((3, 3, 4))
    )
    assert first == again and first != other


def test_class_frequencies_by_hand(tmp_path):
    masks = np.zeros((3, 4, 5), np.uint8)
    masks[0, 0], masks[1, :, 0], masks[1, 0, 1:4] = 255, 1, 2  # 5 ignored; 4 of cat, 3 of dog
    for index, mask in enumerate(masks):
        for kind, array in (('images', mask[..., None].repeat(3, -1)), ('masks', mask)):
            (tmp_path / kind / 'train').mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(tmp_path / kind / 'train' / f'{index}.png')
    cfg = _config(tmp_path)
    cfg.train_dataloader.dataset.label_map = None
    found = count_masks(cfg, 'train')
    np.testing.assert_array_equal(found.pixels.sum(0), [48, 4, 3, 5])
    assert found.with_class.tolist() == [3, 1, 1, 1] and sorted(found.areas) == [3, 4]
    assert rarest_class(found) == 2
    assert [image[-5:] for image in images_with(found, 2, 4)] == ['1.png']
    cfg.val_dataloader = ConfigDict(cfg.train_dataloader)
    cfg.val_dataloader.dataset = ConfigDict(cfg.train_dataloader.dataset, data_root='nowhere')
    page = write_look(cfg, tmp_path / 'page.html', number=1).read_text()
    assert '<td>80.00</td><td>3</td>' in page and '<td>5.00</td><td>1</td>' in page
    assert 'The rarest class: dog' in page and 'val is not counted: ' in page
    limited = count_masks(cfg, 'train', limit=2)
    assert len(limited.pixels) == 2 and limited.number == 3


@pytest.mark.parametrize(
    ('steps', 'size', 'share', 'scale', 'padding', 'out'),
    [
        ([CROP], None, 50 * 50 / 15000, 1, 0, (50, 50)),
        ([dict(type='RandomCrop', crop_size=(128, 128)), dict(type='RandomFlip', prob=0.5)],
         (128, 128), 128 / 150, 1, 1 - 100 / 128, (128, 128)),
        ([dict(type='Resize', scale=(75, 50)), dict(type='RandomCrop', crop_size=(25, 25))],
         (32, 32), 25 * 25 / (50 * 75), 0.5, 1 - 25 * 25 / 1024, (32, 32)),
        ([dict(type='Resize', scale=(450, 300))], None, 1, 3, 0, (300, 450)),
    ],
)  # fmt: skip
def test_what_is_seen_of_an_image_by_hand(folder, steps, size, share, scale, padding, out):
    draws = measure(_config(folder, *steps, size=size), dict(size=size), draws=5)
    assert len(draws) == 5
    for draw in draws:
        assert draw.size == (100, 150) and draw.out == out
        assert draw.share == pytest.approx(share, rel=0.02)
        assert draw.scale == pytest.approx((scale, scale), rel=0.02)
        assert draw.padding == pytest.approx(padding)


def test_words_for_three_kinds_of_pipeline():
    resize = dict(type='RandomResize', scale=(960, 720), ratio_range=(0.5, 2.0), keep_ratio=True)
    crop = dict(type='RandomCrop', crop_size=(512, 512), cat_max_ratio=0.75)
    flip = dict(type='RandomFlip', prob=0.5)
    assert steps_in_words([*LOAD, resize, crop, flip, *PACK]) == (
        'Images are, in this order: scaled to between 0.5 and 2 times 720×960, keeping the ratio '
        'of their sides; 512×512 is cropped at a random place, of which no class takes more than '
        '75% if it can be helped; mirrored left to right with probability 0.5.'
    )
    letterbox = dict(type='LetterboxAugment', size=(473, 473), scale_range=(0.5, 2))
    assert 'longer side is 0.5 to 2 times that of 473×473' in steps_in_words([*LOAD, letterbox])
    other = [dict(type='RandomChoiceResize', scales=[128, 256], resize_type='ResizeShortestEdge')]
    other += [dict(type='RandomRotate', prob=0.3, degree=10), dict(type='ElasticDeform')]
    assert steps_in_words([*LOAD, *other]) == (
        'Images are, in this order: scaled to one of 2 shorter sides from 128 to 256; rotated by '
        '-10 to 10 degrees with probability 0.3; ElasticDeform is applied.'
    )
    apply = dict(type='RandomApply', transforms=[dict(type='CLAHE')], prob=0.5)
    assert steps_in_words([apply]).endswith('order: CLAHE is applied with probability 0.5.')
    assert steps_in_words([*LOAD, *PACK]) == 'Images stay as they are.'


def test_words_for_what_was_measured():
    cropped = [
        Draw((720, 960), share, (s, s), 0.0, (512, 512)) for share, s in ((0.2, 2), (0.6, 1))
    ]
    assert size_in_words(cropped) == [
        'Training images of 720×960 (height × width) become samples of 512×512.',
        'In 2 draws: images are scaled to 1.00 to 2.00 times their size, 1.50 on average; a model '
        'sees 40.0 % of an image at a time (20.0 to 60.0 %); there is no padding.',
    ]
    whole = [Draw((9, 9), 1.0, (1, 1), 0.25, (12, 9)), Draw((8, 9), 1.0, (1, 1), 0.0, (12, 9))]
    first, second = size_in_words(whole)
    assert '2 sizes from 8×9 to 9×9 (height × width) become samples of 12×9.' in first
    assert second == (
        'In 2 draws: images are not scaled; a model sees all of an image at a time; 12.5 % of a '
        'sample is padding (up to 25.0 %).'
    )
    areas = np.full(11, 100)
    assert objects_in_words(areas, whole).endswith('half of them no larger than 10.0×10.0.')
    assert 'the half at 15.0×15.0 on average, at 10.0×10.0 where' in objects_in_words(
        areas, cropped
    )
    assert objects_in_words(areas[:0], cropped) is None


def test_weak_and_strong_views(semi, tmp_path):
    samples = first_samples(semi, 2, seed=0)
    assert [sample.labelled for sample in samples] == [True, True, False, False]
    for sample in samples[2:]:
        assert len(sample.strong) == 2 and sample.name in {f'{place}.png' for place in range(5)}
        assert {view.shape for view in sample.strong} == {sample.picture.shape}
        assert any((view != sample.picture).any() for view in sample.strong)
        assert set(np.unique(sample.label)) <= {-1, 0} and (sample.label == 0).any()
    page = write_look(semi, tmp_path / 'page.html', number=2).read_text()
    assert page.count('>strong 2<') == 2 and '6 training images with masks' in page


def test_views_are_a_picture_each_and_striped_where_there_is_no_image():
    """Without a map of labels over them: they have none."""
    grey, padding = np.full((8, 8, 3), 90, np.uint8), np.zeros((8, 8), int)
    padding[:, 6:] = -1
    views = _views([Seen('a.png', grey, padding, (grey, grey), labelled=False)])
    (examples,) = [part for part in views.blocks if isinstance(part, Examples)]
    (example,) = examples.examples
    assert not examples.over
    assert [pair.title for pair in example.pairs] == ['weak', 'strong 1', 'strong 2']
    for pair in example.pairs:
        (picture,) = pair.pictures
        pixels = np.asarray(Image.open(io.BytesIO(picture.content)))
        assert picture.role == 'photo' and (pixels[:, :6] == 90).all()
        assert {tuple(pixel) for pixel in pixels[:, 6:].reshape(-1, 3)} == {(64,) * 3, (224,) * 3}
    assert (grey == 90).all()  # drawn on a copy


def test_a_step_that_refuses_the_map_is_told_and_the_page_is_written(folder, tmp_path, monkeypatch):
    cfg = _config(folder, CROP)
    monkeypatch.setattr(geometry, '_numbers', lambda size, axis: None)
    page = write_look(cfg, tmp_path / 'page.html', number=1).read_text()
    assert 'was not measured: ' in page and '1 samples as the model sees them' in page


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (dict(number=0), '--number must be at least 1, got 0'),
        (dict(drop='data_preprocessor'), 'model has no data_preprocessor'),
        (dict(steps=[LOAD[0]]), 'no step of the pipeline loads labels'),
        (dict(size=None), 'config: the training data cannot be shown, a setting does not fit'),
    ],
)
def test_bad_input_is_told_and_nothing_is_written(folder, tmp_path, change, said):
    cfg = _config(folder, size=change.get('size', (50, 50)))
    if 'drop' in change:
        del cfg.model[change['drop']]
    if 'steps' in change:
        cfg.train_dataloader.dataset.pipeline = [*change['steps'], *PACK]
    with pytest.raises(ValueError, match=re.escape(said)):
        write_look(cfg, tmp_path / 'page.html', number=change.get('number', 1))
    assert not (tmp_path / 'page.html').exists()
