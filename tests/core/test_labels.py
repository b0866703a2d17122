"""Labels: the background's name, VOC's colors, an even choice."""

import inspect

import pytest
from mmseg.datasets import BaseSegDataset, PascalVOCDataset

from mmseg_ext.core.labels import IGNORE, background_of, evenly, is_background, voc_palette


def test_ignored_is_what_mmseg_ignores():
    assert inspect.signature(BaseSegDataset).parameters['ignore_index'].default == IGNORE


def test_the_background_is_known_by_its_names():
    assert background_of(('bone', '_Background_')) == 1
    assert background_of(('Background', 'background')) == 0
    assert background_of(('sky', 'tree')) is None
    assert is_background('__background__') and not is_background('back ground')


def test_the_palette_is_vocs():
    assert voc_palette(21) == [list(c) for c in PascalVOCDataset.METAINFO['palette']]
    assert voc_palette(256)[255] == [224, 224, 192]  # the color of VOC's borders


@pytest.mark.parametrize(
    'number, count, chosen',
    [
        (10, 5, [0, 2, 4, 6, 8]),
        (10, 3, [0, 3, 6]),
        (3, 5, [0, 1, 2]),
        (3, 0, []),
        (0, 5, []),
    ],
)
def test_items_are_picked_at_equal_distances(number, count, chosen):
    assert evenly(range(number), count) == chosen
