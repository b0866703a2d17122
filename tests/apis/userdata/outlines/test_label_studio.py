"""tools/dataset.py init on Label Studio's JSON: brushes, polygons, rectangles and ellipses."""

import json

import numpy as np
import pytest
from support.formats.read import read_labels, write_noise
from support.paths import ROOT
from support.steps import one_step

from mmseg_ext.apis.userdata.checks.check import check_data
from mmseg_ext.apis.userdata.outlines.brush import encode_brush

SIZE = (40, 80)  # H and W: a per cent is 0.4 rows and 0.8 columns


def item(kind, label, size=SIZE, **value):
    return dict(
        id='x', type=kind, from_name='label', to_name='image', image_rotation=0,
        original_height=size[0], original_width=size[1],
        value={**value, **({kind: [label]} if label else {})},
    )  # fmt: skip


def brush(label, mask):
    return item('brushlabels', label, format='rle', rle=list(encode_brush(mask)))


def task(number, *results, address='/data/upload/3/0123abcd-{}.png', **more):
    data = dict(picture=address.format(number), source='scanner 3')
    return dict(id=100 + number, data=data, annotations=[dict(result=list(results))], **more)


def write(root, *tasks, images=4):
    for index in range(images):
        write_noise(root / f'{index}.png', SIZE, index)
    (root / 'project.json').write_text(json.dumps(tasks))
    return root


def box(left, top, right, bottom):
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


POLYGON = item('polygonlabels', 'leaf', points=[[10, 10], [30, 10], [30, 50], [10, 50]])
RECTANGLE = item('rectanglelabels', 'stem', x=50, y=25, width=25, height=50, rotation=0)


def test_objects_become_masks_and_later_ones_lie_on_top(tmp_path):
    small = brush('leaf', box(4, 2, 70, 38))  # larger than the rectangle, and drawn later
    root = write(
        tmp_path / 'set',
        task(0, POLYGON, RECTANGLE),
        task(1, RECTANGLE, small),
        task(2, brush('stem', box(0, 0, 3, 3)), address='/data/local-files/?d=any/%32.png'),
        dict(id=9, data=dict(image='3.png'), annotations=[]),
    )
    data, labels, notes = read_labels(root)
    assert data.classes == ('background', 'leaf', 'stem') and sorted(labels) == ['0', '1', '2']
    first = 1 * box(8, 4, 24, 20)  # 10 % to 30 % of 80, 10 % to 50 % of 40
    first[10:30, 40:60] = 2
    assert (labels['0'] == first).all()
    second = 2 * box(40, 10, 60, 30)
    second[2:38, 4:70] = 1
    assert (labels['1'] == second).all() and (labels['2'] == 2 * box(0, 0, 3, 3)).all()
    assert '1 images without an object, or not labelled yet: left out' in notes
    assert any('the later one is on top' in note for note in notes)
    assert check_data(data.path).errors == {}
    one_step(ROOT / 'configs/mfp/mfp_attn_eca.py', data.path)


def test_rectangles_turn_around_their_corner_in_pixels(tmp_path):
    turned = item('rectanglelabels', 'leaf', x=50, y=25, width=25, height=50, rotation=90)
    ellipse = item('ellipselabels', 'leaf', x=50, y=50, radiusX=10, radiusY=40, rotation=90)
    root = write(tmp_path / 'set', task(0, turned), task(1, ellipse))
    _, labels, _ = read_labels(root)
    # 20 columns and 20 rows from (40, 10), a quarter clockwise: 20 to the left, 20 down
    assert (labels['0'] == box(20, 10, 40, 30)).all()
    rows, columns = np.mgrid[:40, :80] + 0.5  # radii 8 and 16 pixels, which change places
    inside = ((columns - 40) / 16) ** 2 + ((rows - 20) / 8) ** 2 < 1
    assert (
        abs(int(labels['1'].sum()) - int(inside.sum())) <= 6 and (labels['1'] != inside).sum() < 9
    )


def test_labels_beside_their_shape_points_and_choices(tmp_path):
    twin = dict(points=[[0, 0], [50, 0], [50, 50], [0, 50]])
    root = write(
        tmp_path / 'set',
        task(0, item('polygon', '', **twin), item('labels', 'leaf', **twin)),
        task(1, POLYGON, item('keypointlabels', 'leaf', x=3, y=3),
             dict(type='choices', value=dict(choices=['good']))),
        dict(task(2), annotations=[
            dict(result=[POLYGON], updated_at='2026-01-01'),
            dict(result=[RECTANGLE], updated_at='2026-01-03'),
            dict(result=[POLYGON], updated_at='2026-01-04', was_cancelled=True),
        ]),
    )  # fmt: skip
    _, labels, notes = read_labels(root)
    assert (labels['0'] == box(0, 0, 40, 20)).all() and (labels['1'] == box(8, 4, 24, 20)).all()
    assert (labels['2'] == 2 * box(40, 10, 60, 30)).all()
    assert '2 points, lines and choices: left out, as they cover no area' in notes


WRONG = {
    'size': ([task(0, dict(POLYGON, original_height=41))], r'is 80x40 .*annotation says 80x41'),
    'sizes': ([task(0, POLYGON, dict(POLYGON, original_height=41))], 'of several sizes'),
    'two points': ([task(0, item('polygonlabels', 'a', points=[[1, 2], [3, 4]]))], 'three points'),
    'text': ([task(0, item('rectanglelabels', 'a', x='b', y=1, width=2, height=3))], 'task 100: the'
             ' outline of rectanglelabels cannot be read'),
    'turned': ([task(0, dict(POLYGON, image_rotation=90))], 'turned by 90 degrees'),
    'run lengths': (
        [task(0, item('brushlabels', 'a', format='rle', rle=[0] * 9)), task(1, POLYGON)],
        'task 100: its run lengths are of 0 values',
    ),
    'labels': ([task(0, item('polygonlabels', '', points=[[1, 2]] * 3))], 'has the labels None'),
    'images': ([task(8, POLYGON), task(9, POLYGON)], '2 of its images are not there'),
}  # fmt: skip


@pytest.mark.parametrize('tasks, message', WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_that_names_the_file(tmp_path, tasks, message):
    root = write(tmp_path / 'set', *tasks)
    with pytest.raises(ValueError, match=message) as caught:
        read_labels(root)
    assert '\n' not in str(caught.value)
    assert message.startswith('is 80x40') or 'project.json' in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ['set']
