"""tools/dataset.py init on Supervisely's JSON: bitmaps, polygons with holes, rectangles."""

import base64
import io
import json
import zlib

import numpy as np
import pytest
from PIL import Image
from support.formats.read import read_labels, write_noise
from support.paths import ROOT
from support.steps import one_step

from mmseg_ext.apis.userdata.checks.check import check_data

SIZE = (30, 50)
# an example in the documentation of the SDK's Bitmap.base64_2_data: a ring of 3x3 pixels
RING = (
    'eJzrDPBz5+WS4mJgYOD19HAJAtLMIMwIInOeqf8BUmwBPiGuQPr///9Lb86/C2QxlgT5BTM4PLuRBuTwebo4hlTMSa44'
    'sKHhISMDuxpTYrr03F6gDIOnq5/LOqeEJgDM5ht6'
)


def bitmap(name, data, origin):
    place = dict(data=data, origin=list(origin))
    return dict(classTitle=name, geometryType='bitmap', bitmap=place)


def shape(kind, name, exterior, interior=()):
    points = dict(exterior=[list(p) for p in exterior], interior=[list(i) for i in interior])
    return dict(classTitle=name, geometryType=kind, points=points)


def write(root, *images, size=SIZE):
    for index, objects in enumerate(images):
        write_noise(root / f'ds/img/{index}.jpg', SIZE, index)
        path = root / f'ds/ann/{index}.jpg.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        content = dict(description='', tags=[], size=dict(height=size[0], width=size[1]))
        path.write_text(json.dumps(dict(content, objects=list(objects))))
    classes = [dict(title=n, shape='any', color='#FF0000') for n in ('road', 'car', 'unused')]
    (root / 'meta.json').write_text(json.dumps(dict(classes=classes, tags=[])))
    return root


def encoded(mask, mode='P', compressed=True):
    stream = io.BytesIO()
    image = Image.fromarray(np.asarray(mask, np.uint8))
    if mode == 'P':
        image.putpalette([0, 0, 0, 255, 255, 255])
        image.save(stream, 'png', transparency=0)
    else:
        Image.merge('RGBA', [image.point(lambda v: 7)] * 3 + [image.point(lambda v: 200 * v)]).save(
            stream, 'png'
        )
    data = stream.getvalue()
    return base64.b64encode(zlib.compress(data) if compressed else data).decode()


def test_objects_become_masks_and_later_ones_lie_on_top(tmp_path):
    piece = np.eye(4, 6) + np.eye(4, 6, 2)
    square = [(10, 10), (19, 10), (19, 19), (10, 19)]  # corners are pixels of the object
    hole = [(13, 13), (16, 13), (16, 16), (13, 16)]
    root = write(
        tmp_path / 'project',
        [bitmap('car', RING, (5, 2))],
        [shape('rectangle', 'car', [(30, 5), (33, 8)]), shape('polygon', 'road', square, [hole]),
         shape('rectangle', 'road', [(32, 0), (49, 29)]), shape('line', 'road', [(0, 0), (9, 9)])],
        [bitmap('road', encoded(piece, mode='RGBA'), (40, 20))],
        [bitmap('road', encoded(piece, compressed=False), (48, 28))],
    )  # fmt: skip
    data, labels, notes = read_labels(root)
    assert data.classes == ('background', 'road', 'car') and len(labels) == 4
    ring = np.zeros(SIZE, int)
    ring[2:5, 5:8] = 2
    ring[3, 6] = 0
    assert (labels['0'] == ring).all()
    wanted = np.zeros(SIZE, int)
    wanted[5:9, 30:34] = 2
    wanted[10:20, 10:20] = 1
    wanted[13:17, 13:17] = 0
    wanted[:, 32:] = 1
    assert (labels['1'] == wanted).all()
    placed = np.zeros(SIZE, int)
    placed[20:24, 40:46] = piece > 0
    assert (labels['2'] == placed).all()
    cut = np.zeros(SIZE, int)
    cut[28:, 48:] = piece[:2, :2] > 0
    assert (labels['3'] == cut).all()
    assert '1 points and lines: left out, as they cover no area' in notes
    assert 'no object is of the class unused: left out' in notes
    assert check_data(data.path).errors == {}
    one_step(ROOT / 'configs/mfp/mfp_attn_eca.py', data.path)


def test_masks_with_opacity_turned_boxes_and_several_outlines(tmp_path):
    """The pixels are those that the SDK 6.74.51 draws (geometry.draw)."""
    piece = np.zeros((4, 4), np.uint8)
    piece[0], piece[1:, 0] = (0, 3, 100, 255), 255
    stream = io.BytesIO()
    Image.fromarray(piece).save(stream, 'png', transparency=0)
    data = base64.b64encode(zlib.compress(stream.getvalue())).decode()
    opaque = dict(bitmap('car', data, (5, 2)), geometryType='alpha_mask')
    parts = [dict(exterior=[[1, 20], [3, 20], [3, 22], [1, 22]], interior=[]),
             dict(exterior=[[6, 20], [8, 20], [8, 22], [6, 22]], interior=[[[7, 21]]])]  # fmt: skip
    several = dict(classTitle='road', geometryType='multipolygon', parts=parts)
    points = [[30, 8], [42, 16]]
    turned = dict(classTitle='car', geometryType='oriented_bbox', points=points, angle=np.pi / 2)
    root = write(tmp_path / 'project', [opaque, several], [turned])
    _, labels, _ = read_labels(root)
    wanted = np.zeros(SIZE, int)
    wanted[2:6, 5:9] = 2 * (piece > 0)
    wanted[20:23, 1:4] = wanted[20:23, 6:9] = 1
    wanted[21, 7] = 0
    assert (labels['0'] == wanted).all()
    upright = np.zeros(SIZE, int)
    upright[6:19, 32:41] = 2  # 13 by 9 pixels around column 36 and row 12, which become 9 by 13
    assert (labels['1'] == upright).all()


WRONG = {
    'kind': (
        dict(classTitle='car', geometryType='multichannelBitmap'),
        'an object of car is of the kind multichannelBitmap, which is not read',
    ),
    'base64': (
        bitmap('car', '!', (0, 0)),
        'a bitmap of car cannot be read .*base64',
    ),
    'compression': (bitmap('car', 'eJzr', (0, 0)), '0.jpg.json: a bitmap of car cannot be read'),
    'origin': (bitmap('car', RING, (-1, 0)), 'its origin is -1, 0'),
    'corners': (shape('polygon', 'car', [(0, 0), (4, 4)]), 'three points'),
    'rectangle': (shape('rectangle', 'car', [(0, 0)]), 'two corners'),
    'no class': (dict(geometryType='bitmap'), 'no valid Supervisely file'),
}


@pytest.mark.parametrize('item, message', WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_that_names_the_file(tmp_path, item, message):
    root = write(tmp_path / 'project', [item], [bitmap('car', RING, (5, 2))])
    with pytest.raises(ValueError, match=message) as caught:
        read_labels(root)
    assert '0.jpg.json' in str(caught.value) and '\n' not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ['project']


def test_sizes_and_images_that_do_not_fit_are_named(tmp_path):
    root = write(tmp_path / 'project', [bitmap('car', RING, (5, 2))], size=(31, 50))
    with pytest.raises(ValueError, match='is 50x30 .*annotation says 50x31'):
        read_labels(root)
    (root / 'ds/img/0.jpg').rename(root / 'ds/img/9.jpg')
    with pytest.raises(ValueError, match='ds/ann/0.jpg.json and 0 others: no such images'):
        read_labels(root)
