"""Areas of classes, by hand."""

import csv

import numpy as np
import pytest

from mmseg_ext.apis.predict.areas import area_of, count_pixels, write_areas
from mmseg_ext.apis.predict.geotiff import square_metres

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


def geotiff(*keys, size=(2.0, 3.0), doubles=()):
    """The tags of a file with these GeoKeys: key, tag of its value, number of values, value."""
    numbers = (1, 1, 0, len(keys), *(number for key in keys for number in key))
    tags = [
        (33550, 'd', 3, (*size, 0.0), True),
        (34735, 'H', len(numbers), numbers, True),
    ]
    return tags + ([(34736, 'd', len(doubles), doubles, True)] if doubles else [])


GROUND = {  # pixels of 2 by 3 units
    'UTM 33N without its unit, as GDAL writes it': ([(3072, 0, 1, 32633)], 6.0),
    'UTM of the south': ([(3072, 0, 1, 32736)], 6.0),
    'ETRS89 and Lambert for Europe': ([(3072, 0, 1, 3035)], 6.0),
    'a unit beside an unknown projection': ([(3072, 0, 1, 32767), (3076, 0, 1, 9001)], 6.0),
    'feet': ([(3072, 0, 1, 2225), (3076, 0, 1, 9002)], 6 * 0.3048**2),
    'US survey feet': ([(3072, 0, 1, 2225), (3076, 0, 1, 9003)], 6 * (1200 / 3937) ** 2),
    'degrees': ([(1024, 0, 1, 2), (2048, 0, 1, 4326)], None),
    'a projection of unknown unit': ([(3072, 0, 1, 2225)], None),
    'a unit that is none of length': ([(3072, 0, 1, 32633), (3076, 0, 1, 9102)], None),
    'the Mercator of web maps': ([(3072, 0, 1, 3857), (3076, 0, 1, 9001)], None),
    'another Mercator': ([(3072, 0, 1, 32767), (3075, 0, 1, 7), (3076, 0, 1, 9001)], None),
}


@pytest.mark.parametrize('keys, area', GROUND.values(), ids=GROUND)
def test_a_pixel_has_an_area_where_the_projection_says_its_unit(keys, area) -> None:
    found = square_metres(geotiff(*keys))
    assert found is None if area is None else found == pytest.approx(area)


def test_a_unit_of_its_own_stands_in_another_tag() -> None:
    keys = [(3072, 0, 1, 32767), (3076, 0, 1, 32767), (3077, 34736, 1, 1)]
    assert square_metres(geotiff(*keys, doubles=(7.0, 10.0))) == pytest.approx(600)
