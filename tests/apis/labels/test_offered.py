"""Which images may be labelled: not those of val and test, and no two of one name."""

import shutil

import numpy as np
import pytest
from PIL import Image
from support.user_folder import write_folder

from mmseg_ext.apis.labels.exchange import Finished
from mmseg_ext.apis.labels.merge import merge_masks
from mmseg_ext.apis.labels.offered import check_listable
from mmseg_ext.apis.labels.project import (
    export_project,
    find_unlabelled,
    waiting_images,
    without_predictions,
)
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.apis.userdata.unlabelled import (
    also_labelled,
    stems_to_leave_out,
    unlabelled_images,
)
from mmseg_ext.datasets.stem_files import files_by_stem

SIZE = (40, 60)
MASK = np.zeros(SIZE, np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Six training and three validation images, and a pool with one of its own."""
    write_folder(tmp_path, size=SIZE)
    (tmp_path / 'pool').mkdir()
    picture(5).save(tmp_path / 'pool/own.png')
    return tmp_path


def picture(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)
    return Image.fromarray(pixels)


def snapshot(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


@pytest.mark.parametrize('how', ['copy', 'link', 'encoded anew'])
def test_an_image_of_val_is_no_training_image_under_any_name(folder, how):
    source, other = folder / 'images/val/1.png', folder / 'pool/other.png'
    if how == 'copy':
        shutil.copy(source, other)
    elif how == 'link':
        other.symlink_to(source)
    else:
        Image.open(source).save(other.with_suffix('.bmp'))
    data, before = read_data_file(folder / 'mine.yml'), snapshot(folder)
    if how != 'encoded anew':  # only what bytes tell is looked at in a whole pool
        assert waiting_images(data, folder=folder / 'pool').names == ('own.png',)
    finished = [Finished('own', MASK), Finished('other', MASK)]
    with pytest.raises(ValueError, match=r'pool/other\.\w+ belongs to val'):
        merge_masks(data, finished, images=[folder / 'pool'])
    assert snapshot(folder) == before
    assert merge_masks(data, finished[:1], images=[folder / 'pool']).added == ['own']


@pytest.mark.parametrize('kind', ['cvat', 'label-studio'])
def test_a_copy_of_a_val_image_encoded_anew_is_not_handed_to_people(folder, kind):
    Image.open(folder / 'images/val/1.png').save(folder / 'pool/other.bmp')
    data = read_data_file(folder / 'mine.yml')
    images = find_unlabelled(data, folder=folder / 'pool')
    assert (images.names, images.held_out) == (('own.png',), (('other.bmp', 'val'),))
    lines = export_project(
        data, images, without_predictions(images), folder / 'to_label', kind=kind
    )
    assert lines[0].startswith(
        f'left out: {folder / "pool/other.bmp"} has the pixels of an image of val'
    )
    written = {'cvat': 'annotations.xml', 'label-studio': 'tasks.json'}[kind]
    text = (folder / 'to_label' / written).read_text()
    assert 'own.png' in text and 'other' not in text
    (folder / 'pool/own.png').unlink()
    with pytest.raises(ValueError, match='no image waits for labels, all have masks or are of val'):
        find_unlabelled(data, folder=folder / 'pool')


def test_splits_that_are_lists_of_one_folder_hold_what_they_list(folder):
    shutil.rmtree(folder / 'images')
    (folder / 'images').mkdir()
    for number in range(6):
        picture(number).save(folder / f'images/{number}.png')
    for part, names in (('train', '012'), ('val', '34')):
        shutil.rmtree(folder / 'masks' / part)
        (folder / 'masks' / part).mkdir()
        for name in names:
            Image.fromarray(MASK).save(folder / f'masks/{part}/{name}.png')
        (folder / f'{part}.txt').write_text('\n'.join(names))
    text = (folder / 'mine.yml').read_text()
    for part in ('train', 'val'):
        old = f'images: images/{part}, masks: masks/{part}'
        text = text.replace(old, f'images: images, masks: masks/{part}, list: {part}.txt')
    (folder / 'mine.yml').write_text(text)
    data = read_data_file(folder / 'mine.yml')
    for given in (None, folder / 'images'):
        assert waiting_images(data, folder=given).names == ('5.png',)  # 3 and 4 are of val
    merged = merge_masks(data, [Finished('5', MASK)], images=[folder / 'images'])
    assert (merged.added, merged.listed, merged.copied) == (['5'], ['5'], [])
    with pytest.raises(ValueError, match='4.png belongs to val'):
        merge_masks(data, [Finished('4', MASK)])


def arranged(folder, image, mask):
    """Twelve images under such names, ten of them with masks; lists name the first ten."""
    for number in range(12):
        for name, what in ((image, picture(number)), (mask, Image.fromarray(MASK))):
            path = folder / name.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            if name == image or number < 10:
                what.save(path)
    end = {name: name.partition('{}')[2] for name in (image, mask)}
    shared = '/' if end[image].startswith('/') else ''
    stems = [f'{number}{shared}' for number in range(10)]
    (folder / 'train.txt').write_text('\n'.join(stems[:8]))
    (folder / 'val.txt').write_text('\n'.join(stems[8:]))
    parts = ''.join(
        f'{part}: {{images: ., masks: ., list: {part}.txt}}\n' for part in ('train', 'val')
    )
    (folder / 'side.yml').write_text(
        'root: .\nclasses: [{name: background, value: 0}, {name: cat, value: 7}]\n'
        f'image_suffix: {end[image].lstrip("/")}\nmask_suffix: {end[mask].lstrip("/")}\n{parts}'
        'unlabelled: {images: .}\n'
    )
    return read_data_file(folder / 'side.yml')


@pytest.mark.parametrize(
    ('image', 'mask'),
    [('{}.png', '{}_mask.png'), ('{}_image.png', '{}_mask.png'), ('{}/image.png', '{}/mask.png')],
)
def test_masks_beside_their_images_are_no_images(tmp_path, image, mask):
    data = arranged(tmp_path, image, mask)
    names = (image.format(10), image.format(11))
    assert waiting_images(data).names == names
    every = {str(tmp_path / image.format(number)) for number in range(12)}
    assert set(unlabelled_images(data)) == every
    gone = set(stems_to_leave_out(data, also_labelled(data)))
    left = set(files_by_stem(str(tmp_path), data.image_suffix)) - gone
    assert {stem.rstrip('/') for stem in left} == {'10', '11'}
    finished = [Finished(names[0], MASK), Finished(f'upload/{names[1]}', MASK)]
    merged = merge_masks(data, finished)
    assert [stem.rstrip('/') for stem in merged.added] == ['10', '11']
    assert all((tmp_path / mask.format(number)).is_file() for number in (10, 11))
    assert waiting_images(data).names == ()
    other = merge_masks(data, [Finished(names[0], MASK + 1)]).kept
    beside = tmp_path.with_name(f'{tmp_path.name}_imported') / mask.format(10)
    assert other == [(tmp_path / mask.format(10), beside)] and beside.is_file()


def test_a_mask_is_of_one_image_only(folder):
    data = read_data_file(folder / 'mine.yml')
    picture(8).save(folder / 'pool/2.png')  # training has another 2
    (folder / 'masks/train/2.png').unlink()
    with pytest.raises(ValueError, match="different images of the name '2'.*rename"):
        waiting_images(data, folder=folder / 'pool')
    before = snapshot(folder)
    with pytest.raises(ValueError, match="different images of the name '2'.*rename"):
        merge_masks(data, [Finished('own', MASK), Finished('2', MASK)], images=[folder / 'pool'])
    assert snapshot(folder) == before
    merge_masks(data, [Finished('own', MASK)], images=[folder / 'pool'])  # 2 is not touched
    Image.open(folder / 'images/train/2.png').save(folder / 'pool/2.png', compress_level=1)
    assert waiting_images(data, folder=folder / 'pool').names == ('2.png',)


def test_folders_of_images_must_agree_on_names(folder):
    (folder / 'pool2').mkdir()
    picture(6).save(folder / 'pool2/own.png')
    data = read_data_file(folder / 'mine.yml')
    with pytest.raises(ValueError, match='pool2/own.png and .*pool/own.png are different images'):
        merge_masks(data, [Finished('own', MASK)], images=[folder / 'pool', folder / 'pool2'])


@pytest.mark.parametrize('name', ['a\nb', ' a', 'a ', 'a\u2028b', ''])
def test_names_that_a_list_would_change_are_refused(name):
    with pytest.raises(ValueError, match='line break, or blanks.*rename'):
        check_listable({'good': 'good.png', name: f'{name}.png'}, encoded=False)


def test_other_encodings_are_for_lists_but_not_for_labelling_tools():
    check_listable({'a b/c#1': 'a b/c#1.png', '\udce9': '\udce9.png'}, encoded=False)
    with pytest.raises(ValueError, match="'.udce9.png': the name has no UTF-8: rename"):
        check_listable({'\udce9': '\udce9.png'})
