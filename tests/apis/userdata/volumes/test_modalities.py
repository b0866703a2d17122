"""tools/dataset.py init on BraTS's folders: sequences as channels, patients as groups."""

import json

import numpy as np
import pytest

from mmseg_ext.apis.userdata.init import init_data_file
from mmseg_ext.apis.userdata.pairing import pair_files
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.apis.userdata.volumes.find import find_volumes
from mmseg_ext.apis.userdata.volumes.modalities import find_sequences
from mmseg_ext.core.masks import read_mask
from mmseg_ext.core.reading import read_image

nibabel = pytest.importorskip('nibabel', reason='needs nibabel, the extra nifti')

SHAPE = (6, 5, 2)
OLD = ('flair', 't1', 't1ce', 't2')
NEW = ('t1c', 't1n', 't2f', 't2w')


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, -1, 1, 1])), path)  # LPS+, as BraTS


def labels_of(index):
    labels = np.zeros(SHAPE, np.uint8)
    labels[1 : 3 + index % 3, 2] = 1
    labels[0, 0] = 4
    return labels


def channel_of(index, channel):
    """Bytes are kept as they are."""
    return (np.arange(60).reshape(SHAPE) + 10 * channel + index).astype(np.uint8)


def write_cases(root, names, endings, place='{name}/{name}_{ending}.nii.gz'):
    for index, name in enumerate(names):
        for channel, ending in enumerate(endings):
            write(root / place.format(name=name, ending=ending), channel_of(index, channel))
        write(root / place.format(name=name, ending='seg'), labels_of(index))


def init(root, **options):
    out = root.parent / 'my_data.yml'
    notes = init_data_file(root, out, **options)
    return read_data_file(out), notes


def assert_slices(data, names):
    """Each slice has the sequences as its channels, in the order of the alphabet, and its mask."""
    pairs = [pair for part in data.parts for pair in pair_files(data, part).pairs]
    assert len(pairs) == 2 * len(names)
    for pair in pairs:
        name, number = pair.stem.split('/')
        index = names.index(name)
        image, mask = read_image(pair.image), read_mask(pair.mask)
        assert image.shape == (5, 6, 4)
        for channel in range(4):
            wanted = channel_of(index, channel)[:, :, int(number)].T
            assert (image[..., channel] == wanted).all()
        assert (mask == labels_of(index)[:, :, int(number)].T).all() and mask.max() == 4


PLACES = {
    '2020': ('BraTS20_Training_{:03d}', OLD, '{name}/{name}_{ending}.nii.gz'),
    '2023': ('BraTS-GLI-{:05d}-000', NEW, '{name}/{name}-{ending}.nii.gz'),
    'one folder': ('P{}', OLD, '{name}_{ending}.nii'),
    'short names': ('P{}', OLD, '{name}/{ending}.nii'),
    'folders of grades': ('B_{}', OLD, 'HGG/{name}/{name}_{ending}.nii.gz'),
}


@pytest.mark.parametrize('pattern, endings, place', PLACES.values(), ids=PLACES)
def test_sequences_are_channels(pattern, endings, place, tmp_path):
    names = [pattern.format(number) for number in range(1, 5)]
    write_cases(tmp_path / 'set', names, endings, place)
    data, notes = init(tmp_path / 'set')
    assert data.image_channels == 4 and len(data.classes) == 3
    assert_slices(data, names)
    said = f'the 4 channels of each volume are, in this order: {", ".join(endings)}'
    assert said in notes
    volumes = json.loads((tmp_path / 'my_data_volumes.json').read_text())['volumes']
    assert sorted(volumes) == names
    assert len(volumes[names[0]]['images']) == 4
    trained = {pair.stem.split('/')[0] for pair in pair_files(data, 'train').pairs}
    held = {pair.stem.split('/')[0] for pair in pair_files(data, 'val').pairs}
    assert not trained & held and len(trained) == 3


def test_the_scans_of_a_patient_stay_together(tmp_path):
    names = [f'BraTS-GLI-{patient:05d}-{scan:03d}' for patient in range(3) for scan in range(3)]
    write_cases(tmp_path / 'set', names, NEW, '{name}/{name}-{ending}.nii.gz')
    data, notes = init(tmp_path / 'set')
    patients = [
        {pair.stem.rsplit('-', 1)[0] for pair in pair_files(data, part).pairs}
        for part in ('train', 'val')
    ]
    assert not patients[0] & patients[1] and sum(map(len, patients)) == 3
    assert any('groups kept together' in note for note in notes)
    volumes = json.loads((tmp_path / 'my_data_volumes.json').read_text())['volumes']
    assert {volume['group'] for volume in volumes.values()} == patients[0] | patients[1]


def test_cases_without_a_mask_and_folders_of_splits(tmp_path):
    root = tmp_path / 'set'
    names = ['A_1', 'A_2', 'A_3']
    for part, own in (('train', names[:2]), ('val', names[2:])):
        for name in own:
            index = names.index(name)
            for channel, ending in enumerate(OLD):
                write(root / f'{part}/{name}/{name}_{ending}.nii', channel_of(index, channel))
            write(root / f'{part}/{name}/{name}_seg.nii', labels_of(index))
    for ending in OLD:
        write(root / f'test/A_9/A_9_{ending}.nii', channel_of(0, 0))
    data, notes = init(root)
    assert_slices(data, names)
    assert {p.stem.split('/')[0] for p in pair_files(data, 'val').pairs} == {'A_3'}
    said = '4 volumes of cases without a mask left out, such as test/A_9/A_9_flair'
    assert said in notes


def test_a_sequence_that_is_not_there_is_named_and_nothing_is_left(tmp_path):
    root = tmp_path / 'set'
    names = ['P1', 'P2', 'P3']
    write_cases(root, names, OLD)
    (root / 'P2/P2_t1ce.nii.gz').unlink()
    with pytest.raises(ValueError, match='set/P2: P2 has no t1ce, which P1 has: add it'):
        init(root)
    assert [path.name for path in tmp_path.iterdir()] == ['set']


def test_masks_in_a_folder_of_their_own_are_no_sequences(tmp_path):
    for index in range(3):
        write(tmp_path / f'set/images/a_{index}.nii', channel_of(index, 0))
        write(tmp_path / f'set/labels/a_{index}.nii', labels_of(index))
    assert find_sequences(find_volumes(tmp_path / 'set').tree) == ({}, [])
