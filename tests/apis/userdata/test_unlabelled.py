"""Unlabelled images of a user's data: the entry, the files, and labelled images among them."""

import shutil

import numpy as np
import pytest
from PIL import Image
from support.user_folder import TEXT, write_folder

from mmseg_ext.apis.userdata.checks.check import check_data
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.apis.userdata.unlabelled import (
    also_labelled,
    shared_notes,
    stems_to_leave_out,
    unlabelled_dataset,
    unlabelled_images,
)


@pytest.fixture
def folder(tmp_path):
    folder = write_folder(tmp_path / 'user')
    place = folder / 'images' / 'more'
    place.mkdir()
    random = np.random.default_rng(9)
    for name in 'abc':
        image = random.integers(0, 256, (60, 70, 3)).astype(np.uint8)
        Image.fromarray(image).save(place / f'{name}.png')
    return folder


def read(folder, entry='{images: images/more}'):
    path = folder / 'semi.yml'
    path.write_text(TEXT + f'unlabelled: {entry}\n')
    return read_data_file(path)


@pytest.mark.parametrize('entry', ['{images: images/more}', 'images/more'])
def test_a_folder_is_enough(folder, entry):
    data = read(folder, entry)
    paths = [str(folder / f'images/more/{name}.png') for name in 'abc']
    assert unlabelled_images(data) == paths
    config = unlabelled_dataset(data, [dict(type='Step')])
    assert config['data_prefix'] == dict(img_path='images/more')
    assert config['metainfo'] == data.dataset_config('train')['metainfo']
    assert 'ann_file' not in config and config['pipeline'] == [dict(type='Step')]


def test_a_list_chooses_also_without_a_newline_at_its_end(folder):
    (folder / 'some.txt').write_text('c\na')
    data = read(folder, '{images: images/more, list: some.txt}')
    assert [path[-5:] for path in unlabelled_images(data)] == ['c.png', 'a.png']
    assert unlabelled_dataset(data, ())['ann_file'] == str(folder / 'some.txt')


def test_labelled_images_among_them_are_found_by_their_pixels(folder):
    data = read(folder)
    assert also_labelled(data) == {} and shared_notes({}) == []
    shutil.copy(folder / 'images/train/2.png', folder / 'images/more/copy.png')
    image = Image.open(folder / 'images/val/0.png')
    image.save(folder / 'images/more/z.bmp')  # other bytes, the same pixels
    shutil.copy(folder / 'images/train/2.png', folder / 'images/more/twice.png')
    found = also_labelled(data)
    more, train = folder / 'images/more', str(folder / 'images/train/2.png')
    assert found == dict(
        train=[(str(more / 'copy.png'), train), (str(more / 'twice.png'), train)],
        val=[(str(more / 'z.bmp'), str(folder / 'images/val/0.png'))],
    )
    assert stems_to_leave_out(data, found) == ['copy', 'twice', 'z']
    notes = shared_notes(found)
    assert len(notes) == 2
    assert '2 unlabelled images are also in train' in notes[0] and f'copy.png = {train}' in notes[0]
    assert '1 unlabelled images are also in val' in notes[1] and 'leaves them out' in notes[1]
    report = check_data(folder / 'semi.yml')
    assert report.warnings['unlabelled images in a split'] == notes


def test_labelled_images_stay_where_no_others_are_left_but_never_those_of_val(folder):
    for path in (folder / 'images/more').iterdir():
        path.unlink()
    data = read(folder)
    shutil.copy(folder / 'images/val/1.png', folder / 'images/more/v.png')
    with pytest.raises(ValueError, match='val and test hold all unlabelled images.*--semi'):
        stems_to_leave_out(data, also_labelled(data))
    shutil.copy(folder / 'images/train/1.png', folder / 'images/more/t.png')
    assert stems_to_leave_out(data, also_labelled(data)) == ['v']


def test_the_training_folder_may_be_that_of_the_unlabelled_images(folder):
    (folder / 'three.txt').write_text('0\n1\n2\n')
    data = read(folder, '{images: images/train}')
    text = (folder / 'semi.yml').read_text()
    (folder / 'semi.yml').write_text(
        text.replace('masks: masks/train', 'masks: masks/train, list: three.txt')
    )
    data = read_data_file(folder / 'semi.yml')
    found = also_labelled(data)
    assert stems_to_leave_out(data, found) == ['0', '1', '2']  # 3 to 5 are left
    place = folder / 'images/train'
    assert f'({place / "0.png"}, {place / "1.png"}, {place / "2.png"})' in shared_notes(found)[0]


def test_a_file_that_cannot_be_read_is_left_to_the_run(folder):
    (folder / 'images/more/bad.png').write_bytes(b'no image')
    assert also_labelled(read(folder)) == {}


@pytest.mark.parametrize(
    'entry, error, words',
    [
        ('{list: some.txt}', ValueError, 'unlabelled must name the folder'),
        ('{images: images/more, masks: masks}', ValueError, "unlabelled has no entry 'masks'"),
        ('[a]', ValueError, 'unlabelled.images must be text'),
        ('{images: images/gone}', FileNotFoundError, 'gone: no such folder, .* as unlabelled'),
        ('{images: images/more, list: no.txt}', FileNotFoundError, 'no.txt: no such list'),
        ('{images: images/more, list: other.txt}', FileNotFoundError, "names 'd', and"),
        ('{images: masks/none}', ValueError, 'unlabelled is empty'),
        ('null', ValueError, 'names no unlabelled images: add a line'),
    ],
)
def test_mistakes(folder, entry, error, words):
    (folder / 'other.txt').write_text('a\nd\n')
    (folder / 'masks/none').mkdir()
    with pytest.raises(error, match=words):
        unlabelled_images(read(folder, entry))
