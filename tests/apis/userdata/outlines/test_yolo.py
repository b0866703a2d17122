"""tools/dataset.py init on YOLO's polygons, in Ultralytics' and in Roboflow's layout."""

import pytest
from support.formats.read import read, write_noise
from support.formats.scene import NAMES, NUMBER, SIZE, boxes, scene
from support.paths import ROOT
from support.steps import one_step

from mmseg_ext.apis.userdata.checks.check import check_data

FIRST = 'names:\n  0: road\n  1: car\n  2: sky\n'


def line(name, box):
    left, top, right, bottom = box
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return f'{NAMES.index(name) - 1} ' + ' '.join(f'{x / 32:.6f} {y / 24:.6f}' for x, y in corners)


def write(
    root,
    place='{kind}/{split}',
    yaml=f'path: ../set\ntrain: images/train\nval: images/val\n{FIRST}',
):
    for index in range(NUMBER):
        split = 'val' if index == NUMBER - 1 else 'train'
        write_noise(
            root / place.format(kind='images', split=split) / f'img{index}.jpg', SIZE, index
        )
        text = root / place.format(kind='labels', split=split) / f'img{index}.txt'
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text('\n'.join(line(*entry) for entry in boxes(index)) + '\n')
    if yaml:
        (root / 'data.yaml').write_text(yaml)
    return root


LAYOUTS = {
    'ultralytics': dict(),
    'roboflow': dict(
        place='{split}/{kind}',
        yaml="train: ../train/images\nval: ../val/images\nnc: 3\nnames: ['road', 'car', 'sky']\n",
    ),
    'names of folders in data.yaml': dict(
        place='{kind}/part_{split}',
        yaml=f'train: images/part_train\nval: [./images/part_val]\n{FIRST}',
    ),
}


@pytest.mark.parametrize('layout', LAYOUTS.values(), ids=LAYOUTS)
def test_polygons_become_masks_to_the_pixel(tmp_path, layout):
    data, parts, _ = read(write(tmp_path / 'set', **layout))
    assert data.classes == tuple(NAMES)
    assert list(parts['val']) == [f'img{NUMBER - 1}'] and len(parts['train']) == NUMBER - 1
    for part in parts.values():
        for stem, labels in part.items():
            assert (labels == scene(int(stem[3:]))).all()


def test_check_passes_and_a_row_takes_a_step(tmp_path):
    data, _, _ = read(write(tmp_path / 'set'))
    assert check_data(data.path).errors == {}
    one_step(ROOT / 'configs/mfp/mfp_attn_eca.py', data.path)


def test_an_image_without_a_file_is_background(tmp_path):
    root = write(tmp_path / 'set', yaml='')
    (root / 'labels/train/img0.txt').unlink()
    (root / 'labels/train/img1.txt').write_text('')
    write_noise(root / 'images/more/x.jpg', SIZE)
    (root / 'classes.txt').write_text('road\nyellow car\nsky\n')
    data, parts, notes = read(root)
    assert data.classes == ('background', 'road', 'yellow car', 'sky')
    assert not parts['train']['img0'].any() and not parts['train']['img1'].any()
    assert (parts['train']['img2'] == scene(2)).all() and 'x' not in parts['train']
    assert '1 images have no text file: taken as background, as YOLO does' in notes
    assert any(note.startswith('1 images are in folders without text files') for note in notes)
    (root / 'classes.txt').unlink()
    (root / 'README.txt').write_text('inf is a word\n')
    data, _, notes = read(root, force=True)
    assert data.classes == ('background', 'class_0', 'class_1', 'class_2')
    assert 'the names of the classes are made up: change them' in notes
    assert not any('README' in note for note in notes)


WRONG = {
    '1 0.1 0.1 0.5 0.1 0.5': 'labels/train/img1.txt, line 2: a polygon needs x and y',
    '1 3 3 90 3 90 90': 'line 2: corners are shares of width and height, from 0 to 1; it has 3 to',
    '7 0.1 0.1 0.5 0.1 0.5 0.5': 'line 2: class 7 has no name; there are 3',
    'car 0.1 0.1 0.5 0.1 0.5 0.5': "line 2: no class number with the corners .*: 'car 0.1",
    '1 0.1 0.1 0.5': 'labels/train/img1.txt, line 2: no class number with',
    'inf 0.1 0.1 0.5 0.1 0.5 0.5': 'labels/train/img1.txt, line 2: no class number with',
    '1 nan 0.1 0.5 0.1 0.5 0.5': 'line 2: corners are shares',
}


@pytest.mark.parametrize('text, message', WRONG.items())
def test_what_is_wrong_names_the_line(tmp_path, text, message):
    root = write(tmp_path / 'set')
    path = root / 'labels/train/img1.txt'
    path.write_text(line('car', (0, 0, 9, 9)) + f'\n{text}\n')
    with pytest.raises(ValueError, match=message):
        read(root)
    assert [path.name for path in tmp_path.iterdir()] == ['set']


def test_a_file_in_another_encoding_is_no_background(tmp_path):
    root = write(tmp_path / 'set')
    path = root / 'labels/train/img1.txt'
    path.write_text(path.read_text(), encoding='utf-16')
    with pytest.raises(ValueError, match='labels/train/img1.txt, which cannot be read: .*utf-8'):
        read(root)


def test_boxes_among_polygons_are_ignored_where_no_polygon_is(tmp_path):
    root = write(tmp_path / 'set')
    path = root / 'labels/train/img1.txt'
    # x from 8 to 24, y from 3 to 15: partly over the sky, the road and the car
    path.write_text(path.read_text() + '1 0.5 0.375 0.5 0.5\n')
    data, parts, notes = read(root)
    wanted = scene(1)
    wanted[3:15, 8:24][wanted[3:15, 8:24] == 0] = data.ignore_index
    assert (wanted == 255).sum() > 50
    assert (parts['train']['img1'] == wanted).all() and (parts['train']['img0'] == scene(0)).all()
    assert '1 objects are boxes without a polygon: their pixels are ignored' in notes
    assert 'the smaller one is on top' in ' '.join(notes)


def test_lines_of_poses_are_refused(tmp_path):
    root = write(tmp_path / 'set', yaml=f'train: images/train\nkpt_shape: [2, 2]\n{FIRST}')
    with pytest.raises(ValueError, match='data.yaml: kpt_shape says'):
        read(root)


def test_boxes_alone_are_refused(tmp_path):
    root = write(tmp_path / 'set')
    texts = sorted(root.rglob('img*.txt'))
    assert len(texts) == NUMBER
    for path in texts:
        path.write_text('1 0.5 0.5 0.2 0.2\n')
    with pytest.raises(ValueError, match='its objects are boxes, not polygons: no masks'):
        read(root)
