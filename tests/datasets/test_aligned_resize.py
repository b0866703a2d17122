"""AlignedResize against the pixel centres it promises."""

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS

import mmseg_ext.datasets  # noqa: F401, registers


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def _resize(label, size, kind='AlignedResize'):
    results = dict(
        img=np.zeros((*label.shape, 3), np.uint8), gt_seg_map=label, seg_fields=['gt_seg_map']
    )
    cfg = dict(
        type='RandomResize', scale=size, ratio_range=(1, 1), keep_ratio=False, resize_type=kind
    )
    out = TRANSFORMS.build(cfg)(results)
    assert out['img'].shape[:2] == out['gt_seg_map'].shape == size[::-1]
    return out['gt_seg_map']


def _offsets(size, kind):
    """Signed distance, in new pixels, from where a label was to where it is now, row and column."""
    rows, columns = np.indices((28, 40), dtype=np.uint8)
    offsets = []
    for ids, axis, n in ((rows, 0, 28), (columns, 1, 40)):
        new = _resize(ids, size, kind).astype(float)
        scale = new.shape[axis] / n
        is_at = np.indices(new.shape)[axis] + 0.5
        offsets.append(is_at - (new + 0.5) * scale)
    return np.stack(offsets)


@pytest.mark.parametrize('size', [(60, 42), (30, 20), (74, 47), (15, 11), (40, 28)])
def test_labels_are_those_nearest_to_the_pixel_centres(size):
    offsets = _offsets(size, 'AlignedResize')
    half = max(0.5 * size[0] / 40, 0.5 * size[1] / 28)  # of an old pixel
    assert np.abs(offsets).max() <= half + 1e-3
    assert abs(offsets.mean()) < 0.15


def test_mmseg_moves_labels_by_half_a_pixel():
    """Why this class exists."""
    assert _offsets((74, 47), 'Resize').mean() > 0.4


def test_ids_beyond_a_byte_survive():
    label = np.full((4, 4), 700, np.uint16)
    assert (_resize(label, (7, 9)) == 700).all()
