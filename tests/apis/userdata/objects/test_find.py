"""tools/dataset.py init on masks in several files for each image, to the pixel."""

import numpy as np
import pytest
from PIL import Image
from support.formats.read import read_labels, write_noise
from support.formats.scene import NAMES, NUMBER, SIZE, scene

from mmseg_ext.apis.userdata.find.folders import look_below
from mmseg_ext.apis.userdata.objects.find import find_object_masks
from mmseg_ext.apis.userdata.objects.owned import class_of, longest_beginning

OBJECTS = (1, 2, 3)  # road, car and sky of the scenes


def save(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(mask, np.uint8)).save(path)


def write(root, image, mask, objects=OBJECTS):
    """Write the scenes: an image, and a file for each object."""
    for index in range(NUMBER):
        split = 'val' if index == NUMBER - 1 else 'train'
        write_noise(root / image.format(index=index, split=split), SIZE, index)
        for number in objects:
            names = dict(index=index, split=split, number=number, name=NAMES[number])
            save(root / mask.format(**names), (scene(index) == number) * 255)
    return root


def assert_scenes(root, *, one_class=False, classes=NAMES, **options):
    data, labels, notes = read_labels(root, **options)
    assert set(data.classes) == ({'background', 'object'} if one_class else set(classes))
    assert len(labels) == NUMBER
    ids = [data.classes.index(name) for name in classes] if not one_class else [0, 1, 1, 1]
    for stem, mask in labels.items():
        wanted = np.array(ids)[scene(int(stem[-1]))]
        assert (mask == wanted).all() and len(np.unique(mask)) == len(set(ids))
    return data, notes


CLASS_FOLDERS = {
    'plain': ('images/img{index}.jpg', 'masks/{name}/img{index}.png'),
    'split first': ('{split}/images/i{index}.jpg', '{split}/masks/{name}/i{index}.png'),
    'split within': ('images/{split}/i{index}.jpg', 'masks/{name}/{split}/i{index}.png'),
    'split of masks': ('images/{split}/i{index}.jpg', 'masks/{split}/{name}/i{index}.png'),
    'beside images': ('images/img{index}.png', '{name}/img{index}.png'),
    'numbered, with endings': ('images/i{index}.png', 'masks/{number}. {name}/i{index}_XY.tif'),
    'folders below': ('images/day/i{index}.png', 'masks/{name}/day/i{index}.png'),
}


@pytest.mark.parametrize('image, mask', CLASS_FOLDERS.values(), ids=CLASS_FOLDERS)
def test_a_folder_of_masks_for_each_class(image, mask, tmp_path):
    data, notes = assert_scenes(write(tmp_path / 'set', image, mask))
    assert 'each folder of masks is a class: car, road, sky' in notes
    assert not any('overlap' in note for note in notes)
    if 'split' in image:
        assert not any('no val' in note for note in notes)


def test_overlaps_and_missing_files_of_classes_are_said_and_the_smaller_class_is_on_top(tmp_path):
    root = write(tmp_path / 'set', 'images/img{index}.png', 'masks/{name}/img{index}.png')
    whole = np.zeros(SIZE)
    whole[12:] = 255  # the road goes on under the car, whose upper two rows are above it
    for index in range(NUMBER):
        save(root / f'masks/road/img{index}.png', whole)
    (root / 'masks/sky/img1.png').unlink()
    write_noise(root / 'images/img8.png', SIZE)
    data, labels, notes = read_labels(root)
    assert sorted(labels) == [f'img{index}' for index in range(NUMBER)]
    ids = np.array([data.classes.index(name) for name in NAMES])
    assert all((labels[f'img{i}'] == ids[scene(i)]).all() for i in (0, 2, 3))
    assert (labels['img1'] == ids[scene(1) * (scene(1) != 3)]).all()
    assert '1 images without a mask left out, such as images/img8.png' in notes
    said = 'without a file, an image is taken as without the class: sky (1 images)'
    assert said in notes
    covered = sum(int((labels[f'img{i}'] > 0).sum()) for i in range(NUMBER))
    share = 100 * NUMBER * 6 * 10 / covered  # six rows of ten pixels of each car are over the road
    said = f'objects of different classes overlap in 4 of 4 images, in {share:.3g} % of the pixels'
    assert any(note.startswith(said) for note in notes)


def test_one_folder_of_a_class_and_a_folder_of_colors(tmp_path):
    root = write(tmp_path / 'set', 'images/img{index}.png', 'masks/{name}/img{index}.png', (1,))
    data, labels, _ = read_labels(root)
    assert data.classes == ('background', 'road')
    assert all((labels[f'img{i}'] == (scene(i) == 1)).all() for i in range(NUMBER))
    save(root / 'masks/colors/img1.png', np.random.default_rng(0).integers(0, 255, (*SIZE, 3)))
    with pytest.raises(ValueError, match='masks/colors/img1.png: the mask of an object is 0'):
        read_labels(root, force=True)


def test_folders_of_patients_are_no_classes(tmp_path):
    root = tmp_path / 'set'
    for index in range(NUMBER):
        write_noise(root / f'images/img{index}.png', SIZE, index)
        save(root / f'masks/p{index % 2}/img{index}.png', (scene(index) == 1) * 255)
    with pytest.raises(ValueError, match='no image has a mask of the same name'):
        read_labels(root)


NUMBERED = {
    'masks beside': ('img{index}.jpg', 'img{index}_mask_{number}.png'),
    'of one type': ('img{index}.png', 'img{index}_mask_{number}.png'),
    'numbers alone': ('img{index}.jpg', 'img{index}_{number}.png'),
    'numbers alone, of one type': ('img{index}.png', 'img{index}_{number}.png'),
    'in brackets': ('benign ({index}).png', 'benign ({index})_mask_{number}.png'),
    'in a folder': ('images/img{index}.jpg', 'masks/img{index}_{number}.png'),
    'in folders of splits': ('{split}/images/i{index}.jpg', '{split}/masks/i{index}-{number}.png'),
    'a folder for each image': ('case{index}/image.jpg', 'case{index}/mask_{number}.png'),
}


@pytest.mark.parametrize('image, mask', NUMBERED.values(), ids=NUMBERED)
def test_numbered_masks_of_an_image_are_objects_of_one_class(image, mask, tmp_path):
    root = write(tmp_path / 'set', image, mask)
    if image.startswith('case'):
        data, labels, notes = read_labels(root)
        assert data.classes == ('background', 'object') and len(labels) == 1
        assert ((labels['image'] > 0).sum() > 300) and notes
        return
    if image.startswith('benign'):
        data, labels, _ = read_labels(root)
        found = [labels[f'benign ({index})'] for index in range(NUMBER)]
        assert all((mask == (scene(index) > 0)).all() for index, mask in enumerate(found))
        return
    _, notes = assert_scenes(root, one_class=True)
    assert any('that differ in a number are taken for objects of one class' in n for n in notes)


def test_a_second_mask_of_few_images_is_not_lost(tmp_path):
    """As in BUSI: a_mask.png for all, and a_mask_1.png for an image with two lesions."""
    root = write(tmp_path / 'set', 'img{index}.png', 'img{index}_mask.png', (1,))
    save(root / 'img2_mask_1.png', (scene(2) == 3) * 255)
    data, labels, notes = read_labels(root)
    assert (labels['img2'] == np.isin(scene(2), (1, 3))).all()
    assert all((labels[f'img{i}'] == (scene(i) == 1)).all() for i in (0, 1, 3))
    assert any(note.startswith('5 masks are objects of 4 images') for note in notes)


@pytest.mark.parametrize('image, mask', [
    ('img{index}.jpg', 'img{index}_{name}.png'),
    ('img{index}.png', 'img{index}_mask_{name}.png'),
    ('images/img{index}.jpg', 'masks/img{index}-{name}-{number}.png'),
])  # fmt: skip
def test_words_in_names_are_classes(image, mask, tmp_path):
    assert_scenes(write(tmp_path / 'set', image, mask))


def test_numbers_of_classes_are_kept(tmp_path):
    root = write(tmp_path / 'set', 'images/img{index}.jpg', 'masks/img{index}_class{number}.png')
    assert_scenes(root, classes=['background', 'class_1', 'class_2', 'class_3'])


def test_numbered_masks_of_several_values_are_refused_and_nothing_is_left(tmp_path):
    root = write(tmp_path / 'set', 'img{index}.png', 'img{index}_mask_{number}.png')
    save(root / 'img1_mask_2.png', scene(1))
    with pytest.raises(ValueError, match='img1_mask_2.png: the mask of an object is 0'):
        read_labels(root)
    assert [path.name for path in tmp_path.iterdir()] == ['set']


@pytest.mark.parametrize('ends', [('_1', '_2'), ('_1stHO', '_2ndHO')])
def test_masks_of_several_people_are_refused(ends, tmp_path):
    root = tmp_path / 'set'
    for index in range(NUMBER):
        write_noise(root / f'img{index}.jpg', SIZE, index)
        mask = (scene(index) == 1) * 255
        save(root / f'img{index}{ends[0]}.png', mask)
        save(root / f'img{index}{ends[1]}.png', np.roll(mask, 1, axis=0))
    message = (
        f'img.{ends[0]}.png and img.{ends[1]}.png cover nearly the same pixels.*several people'
    )
    with pytest.raises(ValueError, match=message):
        read_labels(root)


def test_one_mask_in_several_forms_is_read_once(tmp_path):
    root = tmp_path / 'set'
    for index in range(NUMBER):
        write_noise(root / f'images/img{index}.jpg', SIZE, index)
        mask = (scene(index) == 1) * 255
        save(root / f'masks/img{index}_label.png', mask)
        save(root / f'masks/img{index}_mask.png', mask)
        save(root / f'masks/img{index}_shown.png', np.stack([mask, 0 * mask, 0 * mask], axis=2))
    data, labels, notes = read_labels(root)
    assert len(data.classes) == 2
    assert all((labels[f'img{i}'] == (scene(i) == 1)).all() for i in range(NUMBER))
    assert any(note.startswith('masks ending in _mask were taken, and left out') for note in notes)


def test_photographs_with_numbers_are_no_masks(tmp_path):
    for index in range(NUMBER):
        for end in ('', '_1', '_2'):
            write_noise(tmp_path / f'set/img{index}{end}.png', SIZE, index)
    assert find_object_masks(look_below(tmp_path / 'set')) is None
    with pytest.raises(ValueError, match='no folder is named like masks'):
        read_labels(tmp_path / 'set')


CLASSES = {
    '_1': 'object', '_mask_12': 'object', '_car3': 'car', '_mask-yellow car-2': 'yellow car',
    '_0123456789abcdef': 'object', '_class_2': 'class_2', '_Type3': 'Type_3', '_1stHO': '1stHO',
    '_objects': 'object', ' (2)': 'object', '.seg': 'object',
}  # fmt: skip


@pytest.mark.parametrize('words, name', CLASSES.items())
def test_names_of_classes(words, name):
    assert class_of(words) == name


def test_the_longest_stem_is_the_images():
    known = {'a', 'a_1', 'ab'}
    assert longest_beginning('a_1_2', known) == 'a_1'
    assert longest_beginning('a_1', known) == 'a_1'
    assert longest_beginning('a_1', known, proper=True) == 'a'
    assert longest_beginning('abc', known) is None
