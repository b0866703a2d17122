"""tools/dataset.py init on COCO's and LabelMe's JSON: the masks that it paints, to the pixel."""

import base64
import io
import json

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from PIL import Image

from mmseg_ext.apis.userdata.init import init_data_file
from mmseg_ext.apis.userdata.outlines.coco import decode_counts
from mmseg_ext.apis.userdata.outlines.drawn import fill_polygon
from mmseg_ext.apis.userdata.pairing import pair_files
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.datasets.folder import FolderDataset
from mmseg_ext.datasets.loading import LoadLabels

SIZE = (40, 60)  # height, width
CATEGORIES = [
    dict(id=7, name='cell'), dict(id=0, name='objects'), dict(id=19, name='nucleus'),
]  # fmt: skip


def _image(path, seed=0, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(noise).save(path)


def _box(left, top, right, bottom):
    return [left, top, right, top, right, bottom, left, bottom]


def _coco(path, names, annotations, categories=CATEGORIES, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [
        dict(id=100 + 3 * i, file_name=name, height=size[0], width=size[1])
        for i, name in enumerate(names)
    ]
    items = [
        dict(id=i, image_id=100 + 3 * image, category_id=category, segmentation=shape, iscrowd=0)
        for i, (image, category, shape) in enumerate(annotations)
    ]
    path.write_text(json.dumps(dict(images=images, annotations=items, categories=categories)))


def _labels(root, **options):
    """Labels as training loads them: image name -> labels."""
    notes = init_data_file(root, root.parent / 'my_data.yml', **options)
    data = read_data_file(root.parent / 'my_data.yml')
    found, parts = {}, {}
    for part in data.parts:
        config = data.dataset_config(part)
        settings = {k: v for k, v in config.items() if k not in ('type', 'pipeline')}
        samples = FolderDataset(**settings).load_data_list()
        parts[part] = [sample['img_path'].split('/')[-1] for sample in samples]
        for sample in samples:
            found[sample['img_path'].split('/')[-1]] = LoadLabels()(dict(sample))['gt_seg_map']
    return data, found, parts, notes


def test_polygons_cover_the_pixels_whose_middle_is_inside():
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    middles = np.stack([columns.ravel(), rows.ravel()], axis=1)
    for corners in (3, 4, 7):
        turns = np.sort(random.uniform(0, 2 * np.pi, corners))
        points = np.stack([30 + 35 * np.cos(turns), 20 + 25 * np.sin(turns)], axis=1)
        inside = Outline(points).contains_points(middles).reshape(SIZE)
        assert (fill_polygon(points, SIZE) == inside).all() and inside.any()


def test_run_lengths_are_read_plain_and_compressed():
    counts = [5, 3, 2000, 1, 70, 2, 4000, 9]
    assert decode_counts(_compressed(counts)) == counts
    assert decode_counts('52') == [5, 2]


def _compressed(counts):
    """Write COCO's compressed run lengths, five bits a character, differences from the fourth."""
    text = ''
    for index, count in enumerate(counts):
        rest = count - counts[index - 2] if index > 2 else count
        while True:
            group, rest = rest & 31, rest >> 5
            more = rest != (-1 if group & 16 else 0)
            text += chr(48 + group + 32 * more)
            if not more:
                break
    return text


def _runs(mask):
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *runs] if flat[0] else runs


def test_coco_objects_become_masks(tmp_path):
    root = tmp_path / 'cells'
    names = ['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg', 'no_entry.jpg']
    for index, name in enumerate(names):
        _image(root / name, index)
    crowd = np.zeros(SIZE, int)
    crowd[30:38, 3:50:2] = 1
    plain = dict(counts=_runs(crowd), size=list(SIZE))
    compressed = dict(counts=_compressed(_runs(crowd)), size=list(SIZE))
    annotations = [
        (0, 19, [_box(12, 12, 18, 18)]),  # smaller, and named before the one that it lies in
        (0, 7, [_box(10, 10, 30, 25), _box(40, 2, 50, 8)]),  # in two parts
        (1, 7, plain),
        (2, 19, compressed),
    ]
    _coco(root / 'labels.json', names[:4], annotations)
    data, labels, parts, notes = _labels(root)
    assert data.classes == ('background', 'cell', 'nucleus') and data.name == 'cells'
    wanted = np.zeros(SIZE, int)
    wanted[10:25, 10:30] = wanted[2:8, 40:50] = 1
    wanted[12:18, 12:18] = 2
    assert (labels['a.jpg'] == wanted).all()
    assert (labels['b.jpg'] == crowd).all() and (labels['c.jpg'] == 2 * crowd).all()
    assert not labels['d.jpg'].any() and 'no_entry.jpg' not in labels
    assert sorted(parts['train'] + parts['val']) == names[:4] and len(parts['val']) == 1
    assert '1 images have no entry, such as no_entry.jpg: left out' in notes
    assert 'no object is of the class objects: left out' in notes
    again = _labels(root, force=True)  # its own masks and lists are no data
    assert all((again[1][name] == labels[name]).all() for name in labels)


def test_coco_files_of_each_split_may_number_their_categories_differently(tmp_path):
    root = tmp_path / 'set'
    for split, ids in (('train', (1, 2)), ('valid', (5, 3)), ('test', (2, 1))):
        _image(root / split / f'{split}.png')
        categories = [dict(id=ids[0], name='road'), dict(id=ids[1], name='tree')]
        shapes = [(0, ids[0], [_box(0, 0, 5, 5)]), (0, ids[1], [_box(20, 20, 30, 30)])]
        _coco(root / split / '_annotations.coco.json', [f'{split}.png'], shapes, categories)
    data, labels, parts, _ = _labels(root)
    assert parts == dict(train=['train.png'], val=['valid.png'], test=['test.png'])
    assert data.classes == ('background', 'road', 'tree')
    assert len(labels) == 3
    for mask in labels.values():
        assert (mask[:5, :5] == 1).all() and (mask[20:30, 20:30] == 2).all()
        assert mask.sum() == 25 + 200


def test_a_coco_object_without_an_outline_is_ignored_in_its_box(tmp_path):
    root = tmp_path / 'set'
    _image(root / 'a.png')
    _image(root / 'b.png')
    shapes = [(0, 7, [_box(10, 10, 30, 25)]), (0, 19, []), (1, 7, [_box(1, 1, 5, 5)])]
    _coco(root / 'coco.json', ['a.png', 'b.png'], shapes)
    content = json.loads((root / 'coco.json').read_text())
    content['annotations'][1]['bbox'] = [20, 5, 25, 15]
    (root / 'coco.json').write_text(json.dumps(content))
    data, labels, _, notes = _labels(root)
    wanted = np.zeros(SIZE, int)
    wanted[5:20, 20:45] = data.ignore_index
    wanted[10:25, 10:30] = 1
    assert (labels['a.png'] == wanted).all() and 255 not in labels['b.png']
    said = 'coco.json: 1 objects have no outline: the pixels in their boxes are ignored'
    assert said in notes
    content['annotations'][1]['bbox'] = [20, 5, 'x', 15]
    (root / 'coco.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='annotation 1: its box is not x, y, width, height'):
        _labels(root, force=True)


def test_outlines_drawn_on_photographs_as_stored_are_refused_with_what_turns_them(tmp_path):
    root = tmp_path / 'set'
    names = ['a.jpg', 'b.jpg']
    for name in names:
        _image(root / name)
        with Image.open(root / name) as image:
            exif = image.getexif()
            exif[0x0112] = 6  # shown with height and width swapped
            image.save(root / name, exif=exif)
    shapes = [(0, 7, [_box(2, 2, 9, 5)]), (1, 7, [_box(2, 2, 9, 5)])]
    _coco(root / 'coco.json', names, shapes)
    with pytest.raises(ValueError, match=r'annotation says 60x40 \(1 more differ\): .*EXIF tag'):
        init_data_file(root, tmp_path / 'my_data.yml')
    _coco(root / 'coco.json', names, shapes, size=SIZE[::-1])
    _, labels, _, _ = _labels(root)
    wanted = np.zeros(SIZE[::-1], int)
    wanted[2:5, 2:9] = 1
    assert len(labels) == 2 and all((mask == wanted).all() for mask in labels.values())


def test_files_of_captions_and_poses_beside_those_of_outlines_are_left_out(tmp_path):
    """COCO's own annotations folder holds all three for the same images."""
    root = tmp_path / 'set'
    names = ['a.png', 'b.png']
    for name in names:
        _image(root / f'images/{name}')
    shapes = [(i, 7, [_box(2, 2, 9, 5)]) for i in range(2)]
    _coco(root / 'annotations/instances.json', names, shapes)
    content = json.loads((root / 'annotations/instances.json').read_text())
    people = [dict(id=1, name='person', keypoints=['nose'], skeleton=[])]
    posed = [dict(i, category_id=1, keypoints=[1, 2, 2]) for i in content['annotations']]
    said = [dict(id=1, image_id=100, caption='a cell')]
    for name, more in (
        ('captions', dict(annotations=said, categories=[])),
        ('person_keypoints', dict(annotations=posed, categories=people)),
    ):
        (root / f'annotations/{name}.json').write_text(json.dumps({**content, **more}))
    data, labels, _, notes = _labels(root)
    assert data.classes == ('background', 'cell') and len(labels) == 2
    assert all(mask.sum() == 21 for mask in labels.values())
    assert 'annotations/captions.json: captions or points of poses, not read' in notes
    assert notes[1].startswith('masks are painted from annotations/instances.json; where')
    (root / 'annotations/more.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r'instances.json and annotations/more.json: images/a.png'):
        _labels(root, force=True)


def test_an_annotation_that_is_no_json_is_named_as_its_objects_would_be_missing(tmp_path):
    root = tmp_path / 'lab'
    for index in range(3):
        _image(root / f'{index}.jpg', index)
        _labelme(root / f'{index}.json', [('leaf', 'rectangle', [[1, 1], [5, 5]], {})], 'x')
    whole = (root / '0.json').read_text()
    (root / '0.json').write_text(whole[:-9])
    with pytest.raises(ValueError, match='lab/0.json: cannot be read as JSON: export it anew'):
        _labels(root)
    (root / '0.json').write_bytes(whole.encode('utf-16'))
    (root / '1.json').write_bytes(b'\xef\xbb\xbf' + whole.replace(',', ',\r\n').encode())
    assert len(_labels(root)[1]) == 3
    for path in root.glob('*.json'):
        path.write_bytes(b'{')
    with pytest.raises(ValueError, match='lab/0.json: cannot be read as JSON'):
        _labels(root, force=True)


def test_photographs_in_jpeg_and_png_are_no_masks_of_each_other(tmp_path):
    root = tmp_path / 'lab'
    for index in range(3):
        _image(root / f'{index}.jpg', index)
        _labelme(
            root / f'{index}.json', [('leaf', 'rectangle', [[1, 1], [5, 5]], {})], f'{index}.jpg'
        )
        _image(root / f'{index}.png', index)
    _, labels, _, notes = _labels(root)
    assert sorted(labels) == ['0.jpg', '1.jpg', '2.jpg']
    assert all(mask.sum() == 16 for mask in labels.values())
    assert "3 images without an annotation, such as ['0.png']: left out" in notes


def test_images_that_are_named_by_an_address_are_found(tmp_path):
    root = tmp_path / 'set'
    for name in ('a b.png', 'c.png'):
        _image(root / name)
    names = ['https://host.example/x/a%20b.png?key=1', 'C:\\data\\c.png']
    _coco(root / 'coco.json', names, [(i, 7, [_box(2, 2, 9, 5)]) for i in range(2)])
    assert sorted(_labels(root)[1]) == ['a b.png', 'c.png']


def test_cocos_own_layout(tmp_path):
    root = tmp_path / 'coco'
    for split in ('train2017', 'val2017'):
        _image(root / f'images/{split}/0001.jpg')
        shapes = [(0, 7, [_box(1, 1, 9, 9)])]
        _coco(root / f'annotations/instances_{split}.json', ['0001.jpg'], shapes)
    data, _, parts, _ = _labels(root)
    assert [p.image[-19:] for p in pair_files(data, 'val').pairs] == ['es/val2017/0001.jpg'[-19:]]
    assert parts == dict(train=['0001.jpg'], val=['0001.jpg'])


BAD_COCO = {
    'boxes only': (dict(annotations=[(0, 7, [])]), 'objects have boxes and no outlines'),
    'size': (dict(size=(60, 40)), r'is 60x40 \(width x height\), and its annotation says 40x60'),
    'category': (dict(annotations=[(0, 8, [_box(0, 0, 2, 2)])]), 'names the category 8'),
    'polygon': (dict(annotations=[(0, 7, [[1, 2, 3, 4]])]), 'at least three points'),
    'runs': (dict(annotations=[(0, 7, dict(counts=[1, 2], size=[40, 60]))]), 'run lengths are for'),
    'images': (dict(names=['x.png', 'y.png']), 'none of its 2 images is there'),
    'ids': (dict(categories=[CATEGORIES[0], CATEGORIES[0]]), 'two categories have the id 7'),
    'keys': (dict(categories=[dict(id=1)]), 'no valid COCO file'),
}


@pytest.mark.parametrize('changes, message', BAD_COCO.values(), ids=BAD_COCO)
def test_what_is_wrong_with_a_coco_file_is_said_and_nothing_is_left(tmp_path, changes, message):
    root = tmp_path / 'set'
    for name in ('a.png', 'b.png'):
        _image(root / name)
    settings = dict(names=['a.png', 'b.png'], annotations=[(0, 7, [_box(0, 0, 9, 9)])])
    _coco(root / 'coco.json', **{**settings, **changes})
    with pytest.raises(ValueError, match=message):
        init_data_file(root, tmp_path / 'my_data.yml')
    assert [path.name for path in tmp_path.iterdir()] == ['set']


def _labelme(path, shapes, image, size=SIZE):
    path.write_text(json.dumps(dict(
        version='5.2', imagePath=image, imageHeight=size[0], imageWidth=size[1], imageData=None,
        shapes=[dict(label=k, shape_type=t, points=p, **more) for k, t, p, more in shapes],
    )))  # fmt: skip


def test_labelme_objects_become_masks(tmp_path):
    root = tmp_path / 'lab'
    for index in range(4):
        _image(root / f'{index}.jpg', index)
    piece = np.zeros((6, 8), bool)
    piece[1:4, 2:7] = True
    stream = io.BytesIO()
    Image.fromarray(piece).save(stream, 'png')
    stored = dict(mask=base64.b64encode(stream.getvalue()).decode())
    shapes = [
        ('leaf', 'rectangle', [[5, 4], [25, 20]], {}),
        ('stem', 'polygon', [[8, 6], [12, 6], [12, 12], [8, 12]], {}),
        ('__ignore__', 'rectangle', [[40, 30], [50, 35]], {}),
        ('stem', 'mask', [[30, 5], [37, 10]], stored),
        ('leaf', 'line', [[0, 0], [5, 5]], {}),
    ]
    _labelme(root / '0.json', shapes, '..\\elsewhere\\0.jpg')
    for index in (1, 2):
        circle = [('leaf', 'circle', [[20, 20], [20, 30]], {})]
        _labelme(root / f'{index}.json', circle, f'{index}.jpg')
    data, labels, parts, notes = _labels(root)
    assert data.classes == ('background', 'leaf', 'stem') and data.values[255] == 255
    wanted = np.zeros(SIZE, int)
    wanted[4:20, 5:25] = 1
    wanted[6:12, 8:12] = 2
    wanted[6:9, 32:37] = 2
    wanted[30:35, 40:50] = 255
    assert (labels['0.jpg'] == wanted).all()
    assert abs(int((labels['1.jpg'] == 1).sum()) - 100 * np.pi) < 5
    assert '3.jpg' not in labels and len(labels) == 3
    assert any(
        note.startswith("1 images without an annotation, such as ['3.jpg']") for note in notes
    )
    assert any(note.startswith('1 points and lines: left out') for note in notes)


def test_later_shapes_of_labelme_lie_on_top_and_hidden_ones_are_said(tmp_path):
    """As LabelMe's shapes_to_label; an oriented rectangle (LabelMe 6) has four corners."""
    root = tmp_path / 'lab'
    turned = [[30.25, 2], [34.25, 6], [30.25, 10], [26.25, 6]]
    shapes = [
        ('stem', 'rectangle', [[4, 4], [6, 6]], {}),  # under the next one
        ('leaf', 'rectangle', [[2, 2], [20, 20]], {}),
        ('leaf', 'rectangle', [[3, 3], [5, 5]], {}),  # of the class below it: nothing is lost
        ('stem', 'rectangle', [[18, 18], [10, 10]], {}),  # corners the other way round
        ('leaf', 'oriented_rectangle', turned, {}),
        ('leaf', 'polygon', [[100, 100], [120, 100], [120, 120]], {}),  # outside
    ]
    for index in range(2):
        _image(root / f'{index}.png', index)
        _labelme(root / f'{index}.json', shapes, f'{index}.png')
    data, labels, _, notes = _labels(root)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    wanted = np.zeros(SIZE, int)
    wanted[2:20, 2:20] = 1
    wanted[10:18, 10:18] = 2
    wanted[np.abs(columns - 30.25) + np.abs(rows - 6) < 4] = 1
    assert data.classes == ('background', 'leaf', 'stem') and len(labels) == 2
    assert all((mask == wanted).all() for mask in labels.values())
    assert '2 objects lie wholly under others and are lost, such as a stem of 0.png' in notes
    assert '2 objects cover no pixel and are lost, such as a leaf of 0.png' in notes


BAD_LABELME = {
    'kind': (('leaf', 'cube', [[1, 1], [5, 5], [9, 9]], {}), 'a cube of 3 points, is not read'),
    'corners': (('leaf', 'polygon', [[1, 1], [5, 5]], {}), 'a polygon of 2 points, is not read'),
    'outside': (('leaf', 'rectangle', [[90, 90], [99, 99]], {}), 'none of the 1 objects covers'),
}


@pytest.mark.parametrize('shape, message', BAD_LABELME.values(), ids=BAD_LABELME)
def test_shapes_that_are_not_read_are_named(tmp_path, shape, message):
    root = tmp_path / 'lab'
    for index in range(2):
        _image(root / f'{index}.png', index)
    _labelme(root / '0.json', [shape], '0.png')
    _labelme(root / '1.json', [], '1.png')
    with pytest.raises(ValueError, match=message):
        init_data_file(root, tmp_path / 'my_data.yml')
    assert [path.name for path in tmp_path.iterdir()] == ['lab']


def test_images_that_are_inside_the_files_of_labelme_are_asked_for(tmp_path):
    root = tmp_path / 'lab'
    _image(root / 'other.png')
    _labelme(root / '0.json', [('leaf', 'rectangle', [[1, 1], [9, 9]], {})], '0.png')
    content = dict(json.loads((root / '0.json').read_text()), imageData='aGVsbG8=')
    (root / '0.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='0.json and 0 others: no such images; they are inside'):
        init_data_file(root, tmp_path / 'my_data.yml')


def test_masks_that_are_there_win_over_annotations(tmp_path):
    root = tmp_path / 'both'
    for index in range(2):
        _image(root / f'images/{index}.png', index)
        (root / 'masks').mkdir(exist_ok=True)
        Image.fromarray(np.eye(*SIZE, dtype=np.uint8)).save(root / f'masks/{index}.png')
    _coco(root / 'coco.json', ['0.png', '1.png'], [(0, 7, [_box(0, 0, 9, 9)])])
    data, labels, _, _ = _labels(root)
    assert len(labels) == 2 and all((mask == np.eye(*SIZE)).all() for mask in labels.values())
    assert pair_files(data, 'val').pairs[0].mask.startswith(str(root / 'masks'))
