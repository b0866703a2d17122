"""COCO-Stuff: mmseg's classes, its endings, and the checks of every data set of ours."""

import cv2
import numpy as np
import pytest
from mmseg.datasets import COCOStuffDataset

from mmseg_ext.datasets.coco_stuff import CheckedCOCOStuffDataset


@pytest.fixture
def root(tmp_path):
    for folder in ('images', 'annotations'):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / 'images/a.jpg'), np.zeros((4, 5, 3), np.uint8))
    cv2.imwrite(str(tmp_path / 'annotations/a_labelTrainIds.png'), np.zeros((4, 5), np.uint8))
    return tmp_path


def build(root, **settings):
    prefix = dict(img_path='images', seg_map_path='annotations')
    settings = dict(data_root=str(root), data_prefix=prefix, pipeline=[], **settings)
    return CheckedCOCOStuffDataset(**settings)


def test_classes_are_mmseg_s_and_masks_those_of_its_converters(root):
    data = build(root)
    assert data.metainfo['classes'] == COCOStuffDataset.METAINFO['classes']
    assert len(set(data.metainfo['classes'])) == 171
    assert [data.get_data_info(i)['seg_map_path'] for i in range(len(data))] == [
        str(root / 'annotations/a_labelTrainIds.png')]  # fmt: skip


def test_a_mask_that_is_gone_is_named_before_the_run(root):
    (root / 'annotations/a_labelTrainIds.png').unlink()
    with pytest.raises((FileNotFoundError, ValueError), match='a_labelTrainIds.png'):
        build(root)[0]
