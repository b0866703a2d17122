"""SaltPepper: how many pixels, which values, what stays; CLAHE beside it on grey images."""

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS

from mmseg_ext.datasets import SaltPepper


@pytest.fixture(autouse=True)
def _seed():
    np.random.seed(0)


def sample(height=200, width=300, dtype=np.uint8):
    image = np.random.default_rng(1).integers(1, 255, (height, width, 3)).astype(dtype)
    return dict(img=image, gt_seg_map=np.arange(height * width).reshape(height, width) % 2)


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
@pytest.mark.parametrize('amount, ratio', [(0.02, 0.5), (0.3, 0.25), (0.1, 1.0), (0.1, 0.0)])
def test_share_and_values(amount, ratio, dtype):
    before = sample(dtype=dtype)
    done = SaltPepper(prob=1, amount=amount, ratio=ratio).transform(dict(before))
    assert done['img'].dtype == dtype
    changed = (done['img'] != before['img']).any(axis=2)
    white = (done['img'] == 255).all(axis=2)
    black = (done['img'] == 0).all(axis=2)
    # The image holds 1..254, so every replaced pixel shows; all three channels go together.
    np.testing.assert_array_equal(changed, white | black)
    number = changed.size
    for found, share in ((white, amount * ratio), (black, amount * (1 - ratio))):
        # Five standard deviations of a binomial count.
        spread = 5 * np.sqrt(number * share * (1 - share))
        assert abs(found.sum() - number * share) <= spread


def test_labels_and_the_image_handed_in_stay():
    before = sample()
    image, label = before['img'].copy(), before['gt_seg_map'].copy()
    done = SaltPepper(prob=1, amount=0.5).transform(dict(before))
    np.testing.assert_array_equal(done['gt_seg_map'], label)
    np.testing.assert_array_equal(before['img'], image)
    assert (done['img'] != image).any()


@pytest.mark.parametrize('setting', [dict(prob=0, amount=1), dict(prob=1, amount=0)])
def test_identity(setting):
    before = sample()
    done = SaltPepper(**setting).transform(dict(before))
    np.testing.assert_array_equal(done['img'], before['img'])


def test_everything_replaced():
    done = SaltPepper(prob=1, amount=1, ratio=1).transform(sample())
    assert (done['img'] == 255).all()
    done = SaltPepper(prob=1, amount=1, ratio=0).transform(sample())
    assert (done['img'] == 0).all()


def test_prob_is_the_share_of_images_and_the_seed_repeats_them():
    transform = SaltPepper(prob=0.25, amount=1, ratio=0)

    def draw():
        np.random.seed(3)
        return [int(transform.transform(sample(2, 2))['img'].max() == 0) for _ in range(400)]

    first = draw()
    assert first == draw()
    assert abs(sum(first) - 100) < 5 * np.sqrt(400 * 0.25 * 0.75)


@pytest.mark.parametrize('name', ['prob', 'amount', 'ratio'])
@pytest.mark.parametrize('value', [-0.1, 1.5, float('nan')])
def test_out_of_range(name, value):
    with pytest.raises(ValueError, match=f'{name} of SaltPepper must lie in 0..1'):
        SaltPepper(**{name: value})


def test_mmseg_s_clahe_treats_a_grey_image_as_opencv_treats_its_channel():
    init_default_scope('mmseg')
    rows, columns = np.mgrid[:64, :64]
    grey = (100 + 20 * np.sin(rows / 5) * np.cos(columns / 7)).astype(np.uint8)
    label = np.eye(64, dtype=np.uint8)
    clahe = TRANSFORMS.build(dict(type='CLAHE', clip_limit=2.0, tile_grid_size=(4, 4)))
    done = clahe(dict(img=np.repeat(grey[..., None], 3, axis=2), gt_seg_map=label.copy()))
    want = cv2.createCLAHE(2.0, (4, 4)).apply(grey)
    for channel in range(3):
        np.testing.assert_array_equal(done['img'][..., channel], want)
    assert want.std() > grey.std()
    np.testing.assert_array_equal(done['gt_seg_map'], label)
