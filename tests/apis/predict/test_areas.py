"""Areas of classes, by hand."""

import csv

import numpy as np

from mmseg_ext.apis.predict.areas import area_of, count_pixels, write_areas

METRES = [
    (33550, 'd', 3, (0.5, 2.0, 0.0), True),
    (34735, 'H', 8, (1, 1, 0, 1, 3076, 0, 1, 9001), True),
]


def test_pixels_are_counted() -> None:
    label = np.array([[0, 2, 2], [2, 0, 255]], np.uint8)
    assert count_pixels(label, 4).tolist() == [2, 0, 3, 0]  # what is no class counts nowhere
    assert count_pixels(np.array([[300]], np.uint16), 301)[300] == 1


def test_the_table_has_a_line_for_each_image_and_class(tmp_path) -> None:
    pixels = np.array([3, 0, 1])
    entries = [
        dict(image='/a, b.tif', **area_of(pixels, METRES)),
        dict(image='/c.png', **area_of(pixels[::-1], [])),
    ]
    write_areas(tmp_path / 'areas.csv', entries, ['sky', 'tree', 'road'])
    with open(tmp_path / 'areas.csv', newline='') as file:
        found = list(csv.reader(file))
    assert found == [
        ['image', 'class', 'pixels', 'share', 'square_metres'],
        ['/a, b.tif', 'sky', '3', '0.750000', '3'],
        ['/a, b.tif', 'tree', '0', '0.000000', '0'],
        ['/a, b.tif', 'road', '1', '0.250000', '1'],
        ['/c.png', 'sky', '1', '0.250000', ''],
        ['/c.png', 'tree', '0', '0.000000', ''],
        ['/c.png', 'road', '3', '0.750000', ''],
    ]
