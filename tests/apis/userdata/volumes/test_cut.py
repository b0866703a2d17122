"""tools/dataset.py init on volumes that nibabel writes: values, orientation, patients, spacing."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from support.paths import ROOT
from support.steps import one_step

from mmseg_ext.apis.config.metrics import metrics_of
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.userdata.checks.check import check_data
from mmseg_ext.apis.userdata.init import init_data_file
from mmseg_ext.apis.userdata.pairing import pair_files, read_group_file
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.apis.userdata.scan import read_as_trained
from mmseg_ext.apis.userdata.volumes.nifti import read_volume
from mmseg_ext.apis.userdata.volumes.record import (
    VolumeRecord,
    group_voxels,
    read_volumes,
    volume_of,
    write_volumes,
)
from mmseg_ext.apis.userdata.volumes.scale import Histogram, Kind, scaled
from mmseg_ext.core.masks import read_mask
from mmseg_ext.core.reading import read_image

SHAPE = (6, 5, 4)  # left-right, back-front, feet-head, in the file
SIZES = (0.5, 0.75, 3.0)  # mm


def test_without_nibabel_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'nibabel', None)
    (tmp_path / 'set/imagesTr').mkdir(parents=True)
    (tmp_path / 'set/labelsTr').mkdir()
    (tmp_path / 'set/imagesTr/a_0000.nii.gz').write_bytes(b'')
    (tmp_path / 'set/labelsTr/a.nii.gz').write_bytes(b'')
    (tmp_path / 'set/imagesTr/b_0000.nii.gz').write_bytes(b'')
    (tmp_path / 'set/labelsTr/b.nii.gz').write_bytes(b'')
    with pytest.raises(
        ImportError, match=r'need nibabel: pip install "mmsegmentation-ext\[nifti\]"'
    ):
        init_data_file(tmp_path / 'set', tmp_path / 'my_data.yml')
    assert [path.name for path in tmp_path.iterdir()] == ['set']


def test_the_window_is_the_quantiles_of_labelled_voxels():
    values = np.arange(-1000, 1000).reshape(20, 10, 10, 1)
    labels = (values >= 0).astype(np.uint8)  # 0 to 999, each once
    seen = Histogram()
    seen.add(values, labels)
    assert seen.window() == (4, 994)  # the fifth, and the 995th of a thousand
    empty = Histogram()
    empty.add(values, labels * 0)
    assert empty.window() == (-991, 989)  # of all two thousand


def test_relative_values_are_scaled_channel_by_channel():
    values = np.stack([np.arange(1001), np.arange(1001) * 100 + 7], axis=-1).reshape(7, 11, 13, 2)
    found = scaled(values.astype(np.float32), Kind('relative', '')).reshape(1001, 2)
    expected = np.round((np.arange(1001) - 5).clip(0, 990) / 990 * 65535)  # 5 and 995 are the ends
    for channel in range(2):
        assert np.abs(found[:, channel] - expected).max() <= 1
        assert found[5, channel] == 0 and found[995, channel] == 65535
    assert found.dtype == np.uint16


@pytest.fixture
def nibabel():
    return pytest.importorskip('nibabel', reason='needs nibabel, the extra nifti')


def values_of(case, shape=SHAPE):
    """CT numbers that tell where a voxel is."""
    x, y, z = np.indices(shape)
    return (100 * x + 10 * y + z - 600 + 1000 * case).astype(np.int16)


def labels_of(case, shape=SHAPE):
    """1 at the left, 2 at the front."""
    x, y, _ = np.indices(shape)
    return np.where(y >= 3, 2, x < 2 + case % 2).astype(np.uint8)


def affine_of(codes='RAS', sizes=SIZES):
    """Of voxels of these sizes whose axes lead to R or L, A or P, S or I."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (code, size) in enumerate(zip(codes, sizes)):
        row = next(i for i, pair in enumerate(('RL', 'AP', 'SI')) if code in pair)
        affine[row, axis] = size if code in 'RAS' else -size
    affine[:3, 3] = (11, -7, 30)
    return affine


def write_set(nibabel, root, *, cases=4, name='CT', affine=None, values=values_of):
    for folder in ('imagesTr', 'labelsTr'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    affine = affine_of() if affine is None else affine
    for case in range(cases):
        image = nibabel.Nifti1Image(values(case), affine)
        image.header.set_xyzt_units('mm')
        image.to_filename(root / f'imagesTr/p{case}_0000.nii.gz')
        nibabel.Nifti1Image(labels_of(case), affine).to_filename(root / f'labelsTr/p{case}.nii.gz')
    content = dict(
        channel_names={'0': name}, labels=dict(background=0, left=1, front=2),
        numTraining=cases, file_ending='.nii.gz',
    )  # fmt: skip
    (root / 'dataset.json').write_text(json.dumps(content))
    return root


def init(root, **options):
    out = root.parent / 'my_data.yml'
    notes = init_data_file(root, out, **options)
    return read_data_file(out), notes


def pairs_of(data):
    return {p.stem: p for part in data.parts for p in pair_files(data, part).pairs}


def test_axial_slices_show_the_voxels_that_were_written(nibabel, tmp_path):
    """Column 0 is the patient's right, row 0 the front, slice 0 the feet."""
    data, notes = init(write_set(nibabel, tmp_path / 'ct'))
    pairs = pairs_of(data)
    assert len(pairs) == 16 and data.classes == ('background', 'left', 'front')
    for case in range(4):
        for index in range(4):
            pair = pairs[f'p{case}/{index:04d}']
            image = read_image(pair.image)
            assert image.shape == (5, 6, 1) and image.dtype == np.int16
            # RAS axes: the first leads to the right, and columns to the left; rows to the back
            assert (image[..., 0] == values_of(case)[::-1, ::-1, index].T).all()
            assert image[0, 0, 0] == 100 * 5 + 10 * 4 + index - 600 + 1000 * case
            assert (read_mask(pair.mask) == labels_of(case)[::-1, ::-1, index].T).all()
    assert (
        '4 volumes are cut into 16 axial slices, 3 mm apart (--axis chooses another of axial, '
        'coronal, sagittal)' in notes
    )
    assert any(note.startswith('no val: 3 of 4 volumes for train and 1 for val') for note in notes)


def test_patients_spacing_and_affine_are_kept(nibabel, tmp_path):
    data, _ = init(write_set(nibabel, tmp_path / 'ct'))
    groups, volumes = read_group_file(data), read_volumes(data)
    assert groups.pop('stem') == 'patient'  # the names of the columns
    assert len(groups) == 16 and {groups[stem] for stem in pairs_of(data)} == {
        'p0',
        'p1',
        'p2',
        'p3',
    }
    assert all(groups[stem] == volume_of(stem) for stem in groups)
    assert len({volume_of(p.stem) for p in pair_files(data, 'val').pairs}) == 1
    assert sorted(volumes) == ['p0', 'p1', 'p2', 'p3']
    first = volumes['p0']
    assert (first.spacing, first.slices, first.group) == ((0.5, 0.75, 3.0), 4, 'p0')
    assert first.voxel == pytest.approx(0.5 * 0.75 * 3)
    assert first.images == ['imagesTr/p0_0000.nii.gz'] and first.mask == 'labelsTr/p0.nii.gz'
    # a slice's column 1, row 2, slice 3 is the voxel (4, 2, 3) of the file, and so in mm
    place = np.array(first.affine) @ [1, 2, 3, 1]
    assert place[:3] == pytest.approx([11 + 4 * 0.5, -7 + 2 * 0.75, 30 + 3 * 3])
    stacked = np.stack([read_mask(pairs_of(data)[f'p0/{k:04d}'].mask).T for k in range(4)], -1)
    back = nibabel.as_closest_canonical(nibabel.Nifti1Image(stacked, np.array(first.affine)))
    assert (np.asarray(back.dataobj) == labels_of(0)).all()
    assert np.allclose(back.affine, affine_of())


@pytest.mark.parametrize(
    'codes, wanted', [('LPS', 'axial'), ('RAS', 'sagittal'), ('SRP', 'coronal')]
)
def test_slices_of_all_orientations_look_alike(nibabel, tmp_path, codes, wanted):
    """The same patient stored in another orientation gives the same slices."""
    root = write_set(nibabel, tmp_path / 'one/ct')
    other = write_set(nibabel, tmp_path / 'two/ct')
    orient = nibabel.orientations
    change = orient.ornt_transform(orient.axcodes2ornt('RAS'), orient.axcodes2ornt(codes))
    files = sorted(other.rglob('*.nii.gz'))
    assert len(files) == 8
    for path in files:
        nibabel.load(path).as_reoriented(change).to_filename(path.with_name(f'x{path.name}'))
        path.unlink()
        path.with_name(f'x{path.name}').rename(path)
    assert ''.join(nibabel.aff2axcodes(nibabel.load(files[0]).affine)) == codes
    one, two = (pairs_of(init(path, axis=wanted)[0]) for path in (root, other))
    assert one.keys() == two.keys() and len(one) == 4 * SHAPE[dict(s=0, c=1, a=2)[wanted[0]]]
    for stem in one:
        assert (read_image(one[stem].image) == read_image(two[stem].image)).all()
        assert (read_mask(one[stem].mask) == read_mask(two[stem].mask)).all()
    if wanted == 'sagittal':  # slice 0 at the right, column 0 at the front, row 0 at the head
        image = read_image(one['p0/0000'].image)
        assert (image[..., 0] == values_of(0)[-1, ::-1, ::-1].T).all()


def test_the_widest_axis_is_cut_whatever_its_place_in_the_file(nibabel, tmp_path):
    root = write_set(nibabel, tmp_path / 'ct', affine=affine_of('RAS', (4.0, 0.5, 0.75)))
    data, notes = init(root)
    assert any('24 sagittal slices, 4 mm apart' in note for note in notes)
    assert read_volumes(data)['p1'].spacing == (0.5, 0.75, 4.0)  # columns, rows, slices
    cfg = load_config(ROOT / 'configs/mfp/mfp_mobilenetv2_camvid.py', dataset=data.path)
    voxels = dict(metrics_of(cfg)[0]['extra']['voxel_mm3'])  # for the volumes of patients in ml
    assert voxels == dict.fromkeys(read_volumes(data), 1.5) and 'p1' in voxels


def test_voxels_of_patients(tmp_path):
    sizes = dict(a=('p', (1.0, 1.0, 3.0)), b=('p', (1.0, 1.0, 3.0)), c=('q', (0.5, 0.5, 2.0)))
    sizes.update(d=('r', (1.0, 1.0, 1.0)), e=('r', (1.0, 1.0, 2.0)))
    records = {k: VolumeRecord(g, 9, spacing, [], [], '') for k, (g, spacing) in sizes.items()}
    write_volumes(tmp_path / 'volumes.json', 'axial', records)
    data = SimpleNamespace(root=tmp_path, path='x.yml', volume_file='volumes.json')
    assert group_voxels(data) == [('p', 3.0), ('q', 0.5)]  # those of r differ
    assert group_voxels(SimpleNamespace(volume_file='')) == []


def test_ct_keeps_its_numbers_and_the_window_is_a_key(nibabel, tmp_path):
    data, _ = init(write_set(nibabel, tmp_path / 'ct'), window=(-160, 240))
    assert (data.image_min_value, data.image_max_value) == (-160, 240)
    pair = pairs_of(data)['p0/0001']
    shown = read_as_trained(data, pair.image).pixels
    expected = (values_of(0)[::-1, ::-1, 1].T.astype(float) + 160) / 400 * 255
    assert shown.shape == (5, 6, 3)
    assert np.allclose(shown, expected.clip(0, 255)[..., None], atol=1e-3)
    assert shown.min() == 0 and shown.max() == pytest.approx(64.3875)  # (-59 + 160) / 400 of 255
    again, notes = init(tmp_path / 'ct', force=True)  # found: quantiles of labelled voxels of train
    train = {volume_of(p.stem) for p in pair_files(again, 'train').pairs}
    cases = [int(name[1]) for name in train]
    own = np.sort(np.concatenate([values_of(c)[labels_of(c) > 0] for c in cases]))
    low, high = own[int(np.ceil(0.005 * own.size)) - 1], own[int(np.ceil(0.995 * own.size)) - 1]
    assert (again.image_min_value, again.image_max_value) == (low, high)
    assert f'{low} is black and {high} white: image_min_value, image_max_value' in notes


def test_mr_is_scaled_volume_by_volume_and_bytes_are_kept(nibabel, tmp_path):
    def strong(case):
        return (values_of(0).astype(np.float32) + 700) * (1 + 10 * case)

    data, notes = init(write_set(nibabel, tmp_path / 'mr', name='T1', values=strong))
    assert (data.image_min_value, data.image_max_value) == (None, 65535)
    assert any(note.startswith('dataset.json says T1: each channel of a volume') for note in notes)
    pairs = pairs_of(data)
    first, second = (read_image(pairs[f'p{case}/0002'].image) for case in (0, 1))
    assert first.dtype == np.uint16 and first.max() > 60000
    assert np.abs(first.astype(int) - second).max() <= 1  # scanners differ in nothing but scale

    def small_values(case):
        return (values_of(case) % 256).astype(np.uint8)

    small, notes = init(write_set(nibabel, tmp_path / 'b', values=small_values), force=True)
    assert not small.image_loading and 'the values are of 8 bits and kept' in notes
    image = read_image(pairs_of(small)['p0/0000'].image)
    assert (image[..., 0] == small_values(0)[::-1, ::-1, 0].T).all()


def test_channels_last_and_channels_in_files_become_channels(nibabel, tmp_path):
    def both(case):
        return np.stack([values_of(case), -values_of(case)], axis=-1)

    last, _ = init(write_set(nibabel, tmp_path / 'last', values=both), window=(-500, 500))
    root = write_set(nibabel, tmp_path / 'files')
    for case in range(4):
        image = nibabel.Nifti1Image(-values_of(case), affine_of())
        image.to_filename(root / f'imagesTr/p{case}_0001.nii.gz')
    files, _ = init(root, window=(-500, 500), force=True)
    for data in (last, files):
        assert data.image_channels == 2
        image = read_image(pairs_of(data)['p1/0003'].image)
        assert (image[..., 0] == values_of(1)[::-1, ::-1, 3].T).all()
        assert (image[..., 1] == -image[..., 0]).all()


def replace(nibabel, path, change, affine=None):
    file = nibabel.load(path)
    values = change(np.asarray(file.dataobj))
    path.unlink()
    nibabel.Nifti1Image(values, file.affine if affine is None else affine).to_filename(path)


def moved(millimetres):
    affine = affine_of()
    affine[1, 3] += millimetres
    return affine


LABELS, IMAGE = 'labelsTr/p1.nii.gz', 'imagesTr/p1_0000.nii.gz'


def kept(values):
    return values


WRONG = {
    'fractions': (LABELS, lambda v: v * np.float32(0.5), None,
                  r'p1.nii.gz: \d+ voxels are no class ids \(0.5\)'),
    'negative': (LABELS, lambda v: v.astype(np.int16) - 1, None, r'no class ids \(-1\)'),
    'shape': (LABELS, lambda v: v[:-1], None,
              r'p1.nii.gz has \(5, 5, 4\) voxels, and .*p1_0000.nii.gz has \(6, 5, 4\)'),
    'elsewhere': (LABELS, kept, moved(2.0), 'p1.nii.gz lies up to 2 mm away from .*p1_0000'),
    'mirrored': (LABELS, kept, affine_of('LAS'), 'mm away'),
    'channels of labels': (LABELS, lambda v: np.stack([v, v], -1), None,
                           '2 channels, where labels have one'),
    'NaN': (IMAGE, lambda v: np.full(v.shape, np.nan, np.float32), None,
            'p1_0000.nii.gz: 120 voxels are NaN'),
    'dimensions': (IMAGE, lambda v: np.zeros((*v.shape, 2, 3), np.int16), None,
                   r'shape is \(6, 5, 4, 2, 3\)'),
}  # fmt: skip


@pytest.mark.parametrize('name, change, affine, message', WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_volume_is_one_line_and_nothing_is_left(
    nibabel, tmp_path, name, change, affine, message
):
    root = write_set(nibabel, tmp_path / 'ct')
    replace(nibabel, root / name, change, affine)
    with pytest.raises(ValueError, match=message) as caught:
        init(root)
    assert '\n' not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ['ct']


def test_a_header_without_a_size_of_voxels_is_refused(nibabel, tmp_path):
    path = tmp_path / 'a.nii'
    nibabel.Nifti1Image(values_of(0), affine_of()).to_filename(path)
    content = bytearray(path.read_bytes())
    content[280:328] = bytes(48)  # the rows of the affine
    path.write_bytes(content)
    with pytest.raises(ValueError, match='a.nii: its affine has no size of voxels'):
        read_volume(path)


def test_units_are_turned_into_millimetres(nibabel, tmp_path):
    path = tmp_path / 'a.nii'
    image = nibabel.Nifti1Image(values_of(0), affine_of())
    image.header.set_xyzt_units('micron')
    image.to_filename(path)
    assert read_volume(path).spacing == pytest.approx([0.0005, 0.00075, 0.003])


def test_damage_and_doubles_are_named(nibabel, tmp_path):
    root = write_set(nibabel, tmp_path / 'ct')
    whole = (root / 'imagesTr/p2_0000.nii.gz').read_bytes()
    (root / 'imagesTr/p2_0000.nii.gz').write_bytes(whole[:150])
    with pytest.raises(ValueError, match='p2_0000.nii.gz: cannot be decoded as a NIfTI volume'):
        init(root)
    (root / 'imagesTr/p2_0000.nii.gz').write_bytes(whole)
    (root / 'imagesTr/p2_0000.nii').write_bytes(b'')
    with pytest.raises(ValueError, match='have the same name: remove one'):
        init(root)


def test_rounding_of_headers_is_no_fault_and_whole_floats_are_labels(nibabel, tmp_path):
    root = write_set(nibabel, tmp_path / 'ct')
    replace(nibabel, root / 'labelsTr/p1.nii.gz', lambda v: v.astype(np.float64), moved(0.01))
    data, _ = init(root)
    mask = read_mask(pairs_of(data)['p1/0000'].mask)
    assert mask.dtype == np.uint8 and (mask == labels_of(1)[::-1, ::-1, 0].T).all()


def test_scans_of_a_patient_stay_together_with_a_test_split_of_its_own(nibabel, tmp_path):
    root = write_set(nibabel, tmp_path / 'ct', cases=6)
    for case in range(6):  # two scans each of three patients
        for kind, end in (('images', '_0000'), ('labels', '')):
            path = root / f'{kind}Tr/p{case}{end}.nii.gz'
            path.rename(path.with_name(f'q{case // 2}_{case % 2}{end}.nii.gz'))
    for kind, end in (('images', '_0000'), ('labels', '')):
        (root / f'{kind}Ts').mkdir()
        (root / f'{kind}Tr/q2_1{end}.nii.gz').rename(root / f'{kind}Ts/q9_0{end}.nii.gz')
    data, _ = init(root, groups='^(q.)')
    groups = read_group_file(data)
    parts = {part: {groups[p.stem] for p in pair_files(data, part).pairs} for part in data.parts}
    assert set().union(*parts.values()) == {'q0', 'q1', 'q2', 'q9'} and parts['test'] == {'q9'}
    assert parts['train'].isdisjoint(parts['val']) and len(parts['val']) == 1


def test_check_passes_and_a_row_takes_a_step(nibabel, tmp_path):
    def blank(case):  # air at the feet of all
        values = values_of(case)
        values[..., 0] = -1000
        return values

    root = write_set(nibabel, tmp_path / 'ct', values=blank)
    data, _ = init(root)
    report = check_data(data.path)
    assert report.errors == {} and len(report.samples) == 16
    one_step(ROOT / 'configs/mfp/mfp_attn_eca.py', data.path)


def test_a_lost_or_damaged_record_is_named(nibabel, tmp_path):
    data, _ = init(write_set(nibabel, tmp_path / 'ct'))
    path = tmp_path / 'my_data_volumes.json'
    assert yaml.safe_load(data.path.read_text())['volume_file'] == '../my_data_volumes.json'
    path.write_text('{"volumes": {"a": {"slices": 1}}}')
    with pytest.raises(
        ValueError, match=r'my_data_volumes.json: no file of volumes .*run init again'
    ):
        read_volumes(data)
    path.unlink()
    with pytest.raises(
        FileNotFoundError, match=r'my_data_volumes.json: no such file, which .* names'
    ):
        read_volumes(data)


def test_settings_of_volumes_are_refused_without_any(nibabel, tmp_path):
    root = write_set(nibabel, tmp_path / 'ct')
    with pytest.raises(ValueError, match='--window needs two values, the lower one first, got 5 5'):
        init(root, window=(5, 5))
    with pytest.raises(ValueError, match='axis'):
        init(root, axis='axail')
    assert [path.name for path in tmp_path.iterdir()] == ['ct']
