"""Images without masks: the map of valid pixels, strong views against Pillow, packing."""

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from PIL import Image, ImageEnhance

import mmseg_ext  # noqa: F401
from mmseg_ext.core.labels import LOADERS
from mmseg_ext.datasets import unlabelled as module
from mmseg_ext.datasets.unlabelled import StrongView, unlabelled_pipeline

ROW = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='RandomRotate', prob=1.0, degree=45, seg_pad_val=255),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs', meta_keys=('img_path',)),
]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


@pytest.fixture
def sample(tmp_path):
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (20, 24, 3)).astype(np.uint8)
    mask = random.integers(0, 3, (20, 24)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / 'a.png')
    Image.fromarray(mask).save(tmp_path / 'mask.png')
    return dict(
        img_path=str(tmp_path / 'a.png'), seg_map_path=str(tmp_path / 'mask.png'), seg_fields=[],
        num_classes=3, ignore_index=255, label_map=None, reduce_zero_label=False)  # fmt: skip


def run(steps, sample):
    results = dict(sample, seg_fields=[])
    for step in steps:
        results = TRANSFORMS.build(dict(step))(results)
    return results


def test_the_pipeline_keeps_the_rows_geometry_and_reads_no_mask(sample):
    steps = unlabelled_pipeline(ROW, label_loaders=LOADERS, num_views=2)
    assert [step['type'] for step in steps] == [
        'LoadImageFromFile', 'LoadUnlabelled', 'RandomRotate', 'RandomFlip', 'StrongView',
        'PackUnlabelledInputs']  # fmt: skip
    assert ROW[1] == dict(type='LoadLabels')
    gone = dict(sample, seg_map_path='/no/such/mask.png')
    np.random.seed(3)
    packed = run(steps, gone)
    np.random.seed(3)
    plain = run(ROW, sample)
    assert torch.equal(packed['inputs'], plain['inputs'])  # the weak view is the row's own image
    meta = packed['data_samples'].metainfo
    assert meta['unlabelled'] is True and meta['img_path'] == sample['img_path']
    assert 'seg_map_path' not in meta and 'reserve' not in meta
    assert [view.shape for view in meta['strong_views']] == [(3, 20, 24)] * 2
    valid = packed['data_samples'].gt_sem_seg.data
    ignored = plain['data_samples'].gt_sem_seg.data == 255
    assert torch.equal(valid == 255, ignored) and ignored.any()
    assert torch.equal(valid == 1, ~ignored)


def test_masks_in_reserve_follow_the_geometry(sample):
    steps = unlabelled_pipeline(ROW, label_loaders=LOADERS, with_masks=True, num_views=1)
    np.random.seed(3)
    packed = run(steps, sample)['data_samples']
    np.random.seed(3)
    plain = run(ROW, sample)['data_samples']
    assert torch.equal(packed.metainfo['reserve'][None], plain.gt_sem_seg.data)
    assert set(packed.gt_sem_seg.data.unique().tolist()) == {1, 255}


def test_the_letterbox_marks_its_bars_whatever_fills_them(sample):
    box = dict(type='LetterboxAugment', size=(32, 32), scale_range=(0.5, 0.6), rotate_prob=0)
    row = [*ROW[:2], box, ROW[-1]]
    packed = run(unlabelled_pipeline(row, label_loaders=LOADERS), sample)
    valid = packed['data_samples'].gt_sem_seg.data
    assert set(valid.unique().tolist()) == {0, 1}
    assert 0 < (valid == 1).float().mean() < 0.4
    with pytest.raises(ValueError, match=r'a.png: .* set with_masks=False of LoadUnlabelled'):
        run(unlabelled_pipeline(row, label_loaders=LOADERS, with_masks=True), sample)


def test_a_pipeline_without_labels_is_refused():
    with pytest.raises(ValueError, match='no step that loads labels'):
        unlabelled_pipeline([ROW[0], ROW[-1]], label_loaders=LOADERS)


# --- strong views ---------------------------------------------------------------------------------


@pytest.fixture
def image():
    return np.random.default_rng(1).integers(0, 256, (31, 17, 3)).astype(np.uint8)


@pytest.mark.parametrize('factor', [0.5, 0.9, 1.5])
@pytest.mark.parametrize('kind', ['Brightness', 'Contrast', 'Color'])
def test_jitter_is_pillows(image, kind, factor):
    rgb = Image.fromarray(image[..., ::-1])
    expected = np.asarray(getattr(ImageEnhance, kind)(rgb).enhance(factor))[..., ::-1]
    found = dict(
        Brightness=lambda: module._blend(image, np.zeros(1), factor),
        Contrast=lambda: module._blend(image, module._grey_mean(image, colored=True), factor),
        Color=lambda: module._saturated(image, factor),
    )[kind]()
    assert found.dtype == np.uint8 and not np.array_equal(found, image)
    np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=1)


def test_hue_turns_by_the_share_of_a_circle(image):
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 2] = 200  # BGR
    third = module._turned(red, 1 / 3)  # of 256 hues: green, but for rounding
    assert third[0, 0, 1] == 200 and third[0, 0, 2] <= 3 and third[0, 0, 0] <= 3
    assert np.array_equal(module._turned(red, 0.0), red)
    assert module._turned(image, -0.2).shape == image.shape


def test_settings_0_leave_the_image_and_probabilities_are_used(image):
    off = StrongView(num_views=2, jitter_prob=0, gray_prob=0, blur_prob=0)
    views = off(dict(img=image))['strong_views']
    assert len(views) == 2 and all(np.array_equal(view, image) for view in views)
    gray = StrongView(jitter_prob=0, gray_prob=1, blur_prob=0).view(image)
    assert (gray[..., 0] == gray[..., 1]).all() and (gray[..., 1] == gray[..., 2]).all()
    blurred = StrongView(jitter_prob=0, gray_prob=0, blur_prob=1, blur_sigma=(2, 2)).view(image)
    assert blurred.std() < 0.5 * image.std()


def test_views_differ_repeat_with_the_seed_and_leave_the_weak_one(image):
    kept = image.copy()
    np.random.seed(7)
    one, other = StrongView(num_views=2)(dict(img=image))['strong_views']
    assert not np.array_equal(one, other) and np.array_equal(image, kept)
    np.random.seed(7)
    assert np.array_equal(StrongView().view(image), one)


@pytest.mark.parametrize('shape, dtype', [((9, 8, 5), np.float32), ((9, 8, 1), np.uint8)])
def test_other_images_keep_shape_and_type(shape, dtype):
    random = np.random.default_rng(0)
    image = random.integers(0, 256, shape).astype(dtype)
    for _ in range(10):
        view = StrongView(jitter_prob=1, blur_prob=1).view(image)
        assert view.shape == shape and view.dtype == dtype
        assert not np.array_equal(view, image) and 0 <= view.min() and view.max() <= 255
