"""CVAT's XML: every kind of object against numbers from its formula, and what is refused."""

from xml.etree.ElementTree import fromstring

import numpy as np
import pytest

from mmseg_ext.apis.userdata.outlines.cvat import is_cvat, read_cvat, read_xml
from mmseg_ext.apis.userdata.outlines.paint import paint

SIZE = (40, 60)
IDS = dict(background=0, cell=1, nucleus=2)


def _file(shapes, image='a.png', more=''):
    labels = ''.join(f'<label><name>{name}</name></label>' for name in IDS)
    return fromstring(
        f'<annotations><meta><task><labels>{labels}</labels></task></meta>'
        f'<image id="0" name="{image}" width="60" height="40" {more}>{shapes}</image></annotations>'
    )


def _mask(shapes):
    drawn = read_cvat({'annotations.xml': _file(shapes)}, ['images/a.png'])
    assert len(drawn.drawings) == 1 and drawn.drawings[0].size == SIZE
    return paint(drawn.drawings[0], SIZE, IDS), drawn


def _middles():
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return columns, rows


def test_ellipses_and_turned_boxes_cover_what_their_formulas_say():
    x, y = _middles()
    turn = np.deg2rad(30)  # clockwise as seen, since y points down
    right = (x - 30) * np.cos(turn) + (y - 20) * np.sin(turn)
    down = -(x - 30) * np.sin(turn) + (y - 20) * np.cos(turn)
    box = (abs(right) < 15) & (abs(down) < 5)
    found, _ = _mask('<box label="cell" xtl="15" ytl="15" xbr="45" ybr="25" rotation="30"/>')
    assert (found == box).all() and box.any()
    ellipse = (right / 15) ** 2 + (down / 5) ** 2 < 1
    found, _ = _mask('<ellipse label="nucleus" cx="30" cy="20" rx="15" ry="5" rotation="30"/>')
    assert (found != 2 * ellipse).sum() <= 4 and ellipse.sum() > 200  # 64 corners for a curve


def test_masks_are_runs_row_by_row_in_their_box():
    rle = '<mask label="cell" rle="2, 3, 1, 4" left="50" top="30" width="5" height="2"/>'
    found, _ = _mask(rle)
    wanted = np.zeros(SIZE, int)
    wanted[30, 52:55] = wanted[31, 51:55] = 1
    assert (found == wanted).all()


def test_a_higher_z_order_lies_on_top_and_then_the_smaller_object():
    box = '<box label="{}" xtl="{}" ytl="0" xbr="{}" ybr="10" z_order="{}"/>'
    small, large = box.format('cell', 0, 10, 0), box.format('nucleus', 0, 20, 0)
    assert set(np.unique(_mask(small + large)[0][:10, :10])) == {1}
    assert set(np.unique(_mask(small + box.format('nucleus', 0, 20, 1))[0][:10, :10])) == {2}


def test_points_and_lines_are_left_out_and_told():
    thin = '<points label="cell" points="1,1"/><polyline label="cell" points="1,1;5,5"/>'
    found, drawn = _mask(thin + '<tag label="cell"/>')
    assert not found.any()
    assert drawn.notes == [
        'annotations.xml: 2 points, lines and the like: left out, as they have no area'
    ]
    assert drawn.names == list(IDS)


def test_subsets_of_a_project_are_splits():
    shapes = '<box label="cell" xtl="0" ytl="0" xbr="2" ybr="2"/>'
    for subset, split in (('Train', 'train'), ('Validation', 'val'), ('', '')):
        file = _file(shapes, more=f'subset="{subset}"')
        assert read_cvat({'a.xml': file}, ['a.png']).drawings[0].split == split


BAD = {
    'short outline': ('<polygon label="cell" points="1,1;2,2"/>', 'at least three points'),
    'no numbers': ('<polygon label="cell" points="1,1;2,x;3,3"/>', 'polygon of cell cannot be'),
    'runs': ('<mask label="cell" rle="1,2" left="0" top="0" width="2" height="2"/>', '3 pixels'),
    'unknown': ('<blob label="cell"/>', 'of kind blob'),
    'no label': ('<polygon points="1,1;2,2;3,4"/>', 'no valid CVAT file'),
}


@pytest.mark.parametrize('shapes, message', BAD.values(), ids=BAD)
def test_what_is_wrong_is_said_with_the_file(shapes, message):
    with pytest.raises(ValueError, match=f'^annotations.xml: .*{message}'):
        _mask(shapes)


def test_videos_are_refused_with_the_format_to_export():
    video = fromstring('<annotations><track id="0" label="cell"/></annotations>')
    assert is_cvat(video)
    with pytest.raises(ValueError, match='CVAT for images 1.1'):
        read_cvat({'a.xml': video}, ['a.png'])


def test_images_that_are_not_there_are_said():
    with pytest.raises(ValueError, match='none of its 1 images is there'):
        read_cvat({'a.xml': _file('')}, ['other.png'])


def test_xml_with_entities_or_damage_is_no_annotation(tmp_path):
    path = tmp_path / 'a.xml'
    for text in ('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', '<annotations>'):
        path.write_text(text)
        assert read_xml(path) is None
    path.write_text('<annotation><object/></annotation>')  # VOC's boxes
    assert not is_cvat(read_xml(path))
