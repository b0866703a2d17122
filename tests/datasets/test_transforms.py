"""LetterboxAugment and Letterbox: exact properties, and a plain re-statement of each step."""

import colorsys

import cv2
import numpy as np
import pytest
from mmseg.registry import TRANSFORMS
from PIL import Image

import mmseg_ext  # noqa: F401
from mmseg_ext.datasets.transforms import (
    Letterbox,
    LetterboxAugment,
    fit_inside,
    paste,
    resize_bicubic,
    scale_hsv,
)

# Every random step off: the aspect stays, the scale is 1 and nothing is shifted.
STILL = dict(
    aspect_range=(1, 1), scale_range=(1, 1), flip_prob=0, blur_prob=0, rotate_prob=0,
    hsv_gains=(0, 0, 0),
)  # fmt: skip


def sample(height=40, width=60, seed=0):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return dict(img=image, gt_seg_map=random.integers(1, 5, (height, width), dtype=np.uint8))


def smooth_image(height, width):
    rows, columns = np.mgrid[:height, :width]
    planes = [rows * 255 / height, columns * 255 / width, (rows + columns) * 127 / width]
    return np.stack(planes, -1).astype(np.uint8)


@pytest.mark.parametrize('offset', [(0, 0), (3, 1), (-4, 2), (-5, -7), (9, 9)])
def test_paste_against_a_loop(offset):
    array = np.arange(1, 6 * 8 * 3 + 1, dtype=np.uint8).reshape(6, 8, 3)
    canvas = paste(array, (7, 5), offset, 128)
    for row in range(7):
        for column in range(5):
            y, x = row - offset[0], column - offset[1]
            inside = 0 <= y < 6 and 0 <= x < 8
            want = array[y, x] if inside else np.full(3, 128)
            np.testing.assert_array_equal(canvas[row, column], want)


def test_augment_without_randomness_is_a_centred_resize_on_grey_and_background():
    data = sample(40, 80)
    done = LetterboxAugment((64, 64), **STILL).transform(dict(data))
    # 80x40 is wider than high, so it becomes 64 wide and 32 high, somewhere within the 64 rows.
    filled = np.flatnonzero((done['gt_seg_map'] > 0).any(axis=1))
    assert len(filled) == 32 and filled[-1] - filled[0] == 31
    outside = np.setdiff1d(np.arange(64), filled)
    assert (done['gt_seg_map'][outside] == 0).all() and (done['img'][outside] == 128).all()
    want = np.asarray(Image.fromarray(data['gt_seg_map']).resize((64, 32), Image.NEAREST))
    np.testing.assert_array_equal(done['gt_seg_map'][filled], want)
    want = np.asarray(Image.fromarray(data['img']).resize((64, 32), Image.BICUBIC))
    # HSV holds 8 bits a channel: there and back costs a few levels.
    assert np.abs(done['img'][filled].astype(int) - want).mean() < 3


def test_augment_is_repeatable_by_seed_and_varies_without_it():
    augment = LetterboxAugment((48, 48))
    np.random.seed(5)
    first, other = augment.transform(sample()), augment.transform(sample())
    np.random.seed(5)
    again = augment.transform(sample())
    np.testing.assert_array_equal(first['img'], again['img'])
    np.testing.assert_array_equal(first['gt_seg_map'], again['gt_seg_map'])
    assert (first['img'] != other['img']).any()


def test_scale_range_and_aspect_range_are_those_of_the_network_size(monkeypatch):
    seen = []
    augment = LetterboxAugment((100, 100))
    monkeypatch.setattr(augment, '_paste', lambda image, label: seen.append(label.shape) or (
        np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100), np.uint8)))  # fmt: skip
    np.random.seed(0)
    for _ in range(400):
        augment.transform(sample(30, 30))
    longer = np.array([max(shape) for shape in seen])
    ratio = np.array([shape[1] / shape[0] for shape in seen])
    assert longer.min() >= 25 and longer.max() < 200
    assert longer.min() < 30 and longer.max() > 190
    assert 0.7 / 1.3 * 0.9 < ratio.min() < 0.65 and 1.55 < ratio.max() < 1.3 / 0.7 * 1.1


def test_flip_always_mirrors_image_and_labels():
    still = dict(STILL, flip_prob=1)
    data = sample(64, 64)
    plain = LetterboxAugment((64, 64), **STILL).transform(dict(data))
    done = LetterboxAugment((64, 64), **still).transform(dict(data))
    assert done['flip'] and not plain['flip']
    np.testing.assert_array_equal(done['gt_seg_map'], plain['gt_seg_map'][:, ::-1])
    np.testing.assert_array_equal(done['img'], plain['img'][:, ::-1])


def test_rotation_by_known_angle(monkeypatch):
    augment = LetterboxAugment((65, 65), **dict(STILL, rotate_prob=1))
    label = np.zeros((65, 65), np.uint8)
    label[32, 52] = label[31:34, 51:54] = 3  # 20 pixels right of the centre
    monkeypatch.setattr(np.random, 'randint', lambda low, high: 10)
    done = augment.transform(dict(img=np.full((65, 65, 3), 128, np.uint8), gt_seg_map=label))
    rows, columns = np.nonzero(done['gt_seg_map'])
    # OpenCV's angle counts anticlockwise; -10 turns a point on the right downwards.
    assert rows.mean() == pytest.approx(32 + 20 * np.sin(np.radians(10)), abs=0.6)
    assert columns.mean() == pytest.approx(32 + 20 * np.cos(np.radians(10)), abs=0.6)


def test_rotation_fills_with_grey_and_background(monkeypatch):
    augment = LetterboxAugment((64, 64), **dict(STILL, rotate_prob=1))
    monkeypatch.setattr(np.random, 'randint', lambda low, high: 10)
    data = dict(img=np.full((64, 64, 3), 200, np.uint8), gt_seg_map=np.full((64, 64), 7, np.uint8))
    done = augment.transform(data)
    assert done['gt_seg_map'][0, 0] == 0 and set(np.unique(done['gt_seg_map'])) == {0, 7}
    assert (done['img'][0, 0] == 128).all()


def test_hsv_gains_against_the_standard_library():
    random = np.random.default_rng(1)
    image = random.integers(30, 226, (8, 8, 3), dtype=np.uint8)
    gains = (1.08, 0.6, 1.2)
    done = scale_hsv(image, gains)
    for (b, g, r), got in zip(image.reshape(-1, 3) / 255, done.reshape(-1, 3)):
        h, s, v = colorsys.rgb_to_hsv(r, g, b)
        want = colorsys.hsv_to_rgb(h * gains[0] % 1, s * gains[1], min(1, v * gains[2]))
        # OpenCV's hue has 180 steps: at full saturation one step is 8 levels.
        assert np.abs(np.array(want)[::-1] * 255 - got).max() < 12
    assert np.abs(scale_hsv(image, (1, 1, 1)).astype(int) - image).max() <= 6


def test_augment_of_grey_gains_keeps_grey_grey():
    grey = np.full((4, 4, 3), 100, np.uint8)
    np.testing.assert_array_equal(scale_hsv(grey, (1.1, 1.7, 1.3)), np.full((4, 4, 3), 130))


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_augment_of_other_images_is_that_of_their_channels(dtype):
    """Each channel as the same channel of a color image; only hue and saturation are left out."""
    settings = dict(hsv_gains=(0, 0, 0), blur_prob=1, rotate_prob=1)
    for seed in range(3):
        data = sample(50, 40, seed)
        data['img'] = smooth_image(50, 40)
        np.random.seed(seed)
        color = LetterboxAugment((32, 32), **settings).transform(dict(data))
        five = data['img'][..., [0, 1, 2, 1, 0]].astype(dtype)
        np.random.seed(seed)
        found = LetterboxAugment((32, 32), **settings).transform({**data, 'img': five})
        assert found['img'].dtype == dtype and found['img'].shape == (32, 32, 5)
        off = found['img'].astype(int) - color['img'][..., [0, 1, 2, 1, 0]].astype(int)
        assert abs(off).max() <= 8  # the way to HSV and back rounds by 6
        assert (found['gt_seg_map'] == color['gt_seg_map']).all()


def test_augment_scales_the_values_of_other_images_by_one_gain():
    np.random.seed(0)
    settings = dict(STILL, hsv_gains=(0.1, 0.7, 0.3))
    image = np.full((8, 8, 4), 200.5, np.float32)
    data = dict(img=image, gt_seg_map=np.zeros((8, 8), np.uint8))
    found = [LetterboxAugment((8, 8), **settings).transform(dict(data))['img'] for _ in range(30)]
    values = np.array([one[0, 0, 0] for one in found])
    assert all((one == one[0, 0, 0]).all() for one in found)
    assert values.max() == 255 and 0.7 * 200.5 <= values.min() < 170
    assert (values != np.round(values)).any()  # not rounded to 8 bits


@pytest.mark.parametrize('shape', [(375, 500), (500, 333), (64, 64), (10, 400)])
def test_letterbox_round_trip(shape):
    image = smooth_image(*shape)
    done = Letterbox((256, 256)).transform(dict(img=image, ori_shape=shape))
    left, right, top, bottom = done['padding_size']
    inner = done['img'][top : 256 - bottom, left : 256 - right]
    assert inner.shape[:2] == fit_inside(shape, (256, 256)) and max(inner.shape[:2]) == 256
    np.testing.assert_array_equal(inner, resize_bicubic(image, inner.shape[:2]))
    back = cv2.resize(inner, shape[::-1]).astype(int)
    assert np.abs(back - image).mean() < 3
    mask = np.ones((256, 256), bool)
    mask[top : 256 - bottom, left : 256 - right] = False
    assert (done['img'][mask] == 128).all()
    assert 0 <= right - left <= 1 and 0 <= bottom - top <= 1  # centred


def test_letterbox_prediction_returns_to_its_pixels_through_mmseg():
    """mmseg cuts ``padding_size`` off and resizes: a map that is 1 inside the bars comes back 1."""
    import torch
    from mmseg.models.segmentors.base import BaseSegmentor
    from mmseg.structures import SegDataSample

    class Probe(BaseSegmentor):
        align_corners = False
        extract_feat = encode_decode = loss = predict = _forward = None

    Probe.__abstractmethods__ = frozenset()
    pipeline = [
        TRANSFORMS.build(dict(type='Letterbox', size=(64, 64))),
        TRANSFORMS.build(dict(type='PackSegInputs', meta_keys=('ori_shape', 'padding_size'))),
    ]
    data = dict(img=smooth_image(30, 50), ori_shape=(30, 50))
    for step in pipeline:
        data = step(data)
    logits = torch.zeros(1, 2, 64, 64)
    left, right, top, bottom = data['data_samples'].padding_size
    assert (left, right) == (0, 0) and (top, bottom) == (13, 13)
    logits[:, 1, top : 64 - bottom] = 1
    logits[:, 0, :top] = logits[:, 0, 64 - bottom :] = 9
    sample_ = SegDataSample(metainfo=data['data_samples'].metainfo)
    done = Probe.postprocess_result(Probe.__new__(Probe), logits, [sample_])
    assert done[0].pred_sem_seg.data.shape == (1, 30, 50)
    assert (done[0].pred_sem_seg.data == 1).all()


def test_letterbox_after_the_labels_is_refused():
    with pytest.raises(ValueError, match='before LoadLabels'):
        Letterbox((8, 8)).transform(sample())
