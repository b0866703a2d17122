"""BMSegDataset, groups, the converter on files made here and on real ones, and the base configs."""

import json
import os
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from support.paths import ROOT
from support.tools import load_tool

from mmseg_ext.apis.folds.pool import read_pool
from mmseg_ext.datasets.bmseg_files import binary_mask, convert_bmseg, describe
from mmseg_ext.datasets.groups import group_unit, read_groups

TOOL = 'tools/dataset_converters/bmseg.py'
LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadLabels')]
RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.tif':
        tifffile.imwrite(path, array[..., ::-1] if array.ndim == 3 else array)
    else:
        assert cv2.imwrite(str(path), array)


def lesion(rows, *, white=255, dtype=np.uint8):
    """20 x 30 with the first rows white."""
    mask = np.zeros((20, 30), dtype)
    mask[:rows] = white
    return mask


def grey(dtype=np.uint8, top=256):
    return RANDOM.integers(0, top, (20, 30)).astype(dtype)


@pytest.fixture
def raw(tmp_path):
    """Five images of three patients with lesion and bone masks, each in another format."""
    images = {
        'a_1.png': grey(),
        'a_2.jpg': np.full((20, 30, 3), 90, np.uint8),
        'b_1.tif': grey(np.uint16, 65536),
        'b_2.bmp': RANDOM.integers(0, 256, (20, 30, 3)).astype(np.uint8),
        'c_1.png': grey(np.uint16, 65536),
    }
    for name, image in images.items():
        write(tmp_path / 'images' / name, image)
    write(tmp_path / 'masks/a_1.png', lesion(3))
    write(tmp_path / 'masks/a_2.tif', lesion(5, white=65535, dtype=np.uint16))
    write(tmp_path / 'masks/b_1.bmp', np.repeat(lesion(0)[..., None], 3, axis=2))
    write(tmp_path / 'masks/b_2.png', np.repeat(lesion(2)[..., None], 3, axis=2))
    write(tmp_path / 'masks/c_1.png', lesion(1))
    for name in images:
        write(tmp_path / f'bones/{name[:3]}_bone.png', lesion(10))
    return tmp_path, images


def convert(root, **settings):
    return convert_bmseg(
        str(root / 'images'), str(root / 'masks'), str(root / 'out'), progress=False, **settings
    )


def only_sources_are_left(root):
    return sorted(path.name for path in root.iterdir()) == ['bones', 'images', 'masks']


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_layout_values_and_counts(raw):
    root, images = raw
    summary = convert(
        root, bone_masks=str(root / 'bones'), bone_suffix='_bone', patient_regex='^([a-z])_'
    )
    stems = ['a_1', 'a_2', 'b_1', 'b_2', 'c_1']
    for folder in ('img_dir', 'ann_dir', 'ann_dir_bone'):
        assert sorted(p.name for p in (root / 'out' / folder).iterdir()) == [
            f'{stem}.png' for stem in stems
        ]
    for stem, rows in zip(stems, (3, 5, 0, 2, 1)):
        mask = read(root / f'out/ann_dir/{stem}.png')
        np.testing.assert_array_equal(mask, lesion(rows, white=1))
        np.testing.assert_array_equal(
            read(root / f'out/ann_dir_bone/{stem}.png'), lesion(10, white=1)
        )
    assert read_groups(str(root / 'out/patients.csv')) == dict(
        stem='patient', a_1='a', a_2='a', b_1='b', b_2='b', c_1='c'
    )
    for name, image in images.items():
        done = read(root / f'out/img_dir/{name[:3]}.png')
        assert done.dtype == np.uint8
        want = np.rint(image / 257) if image.dtype == np.uint16 else image
        if name == 'a_2.jpg':
            want = image[..., 0]  # a grey image comes back with one channel; 90 survives JPEG
        np.testing.assert_array_equal(done, want)
    split = {name: (root / f'out/{name}.txt').read_text().split() for name in ('train', 'val')}
    assert sorted(split['train'] + split['val']) == stems
    assert not {s[0] for s in split['train']} & {s[0] for s in split['val']}
    assert summary['images'] == 5 and summary['patients'] == 3
    assert summary['split'] == {name: len(part) for name, part in split.items()}
    assert summary['masks']['lesion'] == dict(
        pixels=3000, foreground=11 * 30, empty=1, soft=0, soft_pixels=0
    )
    assert summary['masks']['bone']['foreground'] == 1500
    lines = describe(summary)
    assert 'ann_dir: background 89.000 %, lesion 11.000 %; 1 masks without lesion' in lines
    assert 'ann_dir_bone: background 50.000 %, bone 50.000 %; 0 masks without bone' in lines


def test_dataset_reads_both_targets_and_the_patients(raw):
    root, _ = raw
    convert(root, bone_masks=str(root / 'bones'), bone_suffix='_bone', patient_regex='^[a-z]')
    for target, rows in (('lesion', 5), ('bone', 10)):
        dataset = DATASETS.build(
            dict(type='BMSegDataset', data_root=str(root / 'out'), target=target, pipeline=LOAD)
        )
        assert dataset.metainfo['classes'] == ('background', target)
        np.testing.assert_array_equal(dataset[1]['gt_seg_map'], lesion(rows, white=1))
        assert [dataset.get_data_info(i)['group'] for i in range(5)] == list('aabbc')
    (root / 'out/patients.csv').unlink()
    dataset = DATASETS.build(dict(type='BMSegDataset', data_root=str(root / 'out'), pipeline=LOAD))
    assert dataset.get_data_info(0)['group'] is None
    with pytest.raises(ValueError, match="'lesion' or 'bone', got 'liver'"):
        DATASETS.build(dict(type='BMSegDataset', data_root=str(root / 'out'), target='liver'))


def test_dataset_without_bones_says_how_to_make_them(raw):
    root, _ = raw
    convert(root)
    with pytest.raises(FileNotFoundError, match=r'ann_dir_bone: no such folder.*--bone-masks'):
        DATASETS.build(dict(type='BMSegDataset', data_root=str(root / 'out'), target='bone'))


def published(root, mask):
    write(root / 'images/x.png', grey())
    write(root / 'masks/x.png', np.repeat(mask[..., None], 3, axis=2))
    return dict(
        type='BMSegDataset', data_root=str(root), pipeline=LOAD,
        data_prefix=dict(img_path='images', seg_map_path='masks'),
    )  # fmt: skip


def test_dataset_on_masks_as_published(tmp_path):
    mask = lesion(4)
    mask[4], mask[3] = 126, 127
    settings = published(tmp_path, mask)
    dataset = DATASETS.build(dict(settings, mask_threshold=127))
    np.testing.assert_array_equal(dataset[0]['gt_seg_map'], lesion(4, white=1))
    with pytest.raises(ValueError, match=r'x\.png: 60 pixels.*\[126, 127\].*mask_threshold=127'):
        DATASETS.build(settings)[0]
    with pytest.raises(ValueError, match=r'masks hold 0 and 255 only'):
        DATASETS.build(published(tmp_path, lesion(4)))


def test_threshold_that_hides_class_ids_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'masks: no value above 1 .*mask_threshold=127.*leave it'):
        DATASETS.build(dict(published(tmp_path, lesion(4, white=1)), mask_threshold=127))
    # A split of empty masks is allowed.
    DATASETS.build(dict(published(tmp_path, lesion(0)), mask_threshold=127))


def test_dataset_mask_of_another_size(tmp_path):
    settings = published(tmp_path, lesion(4, white=1)[:, :20])
    with pytest.raises(ValueError, match=r'masks/x\.png: the mask is 20x20 .*x\.png is 30x20'):
        DATASETS.build(settings)[0]


def folder_dataset(root, **settings):
    for stem in ('0026', 'sub/0027'):
        write(root / f'img/{stem}.png', grey())
        write(root / f'mask/{stem}.png', lesion(1, white=1))
    return DATASETS.build(
        dict(
            type='FolderDataset', data_root=str(root), metainfo=dict(classes=('a', 'b')),
            data_prefix=dict(img_path='img', seg_map_path='mask'), pipeline=LOAD, **settings,
        )
    )  # fmt: skip


def test_group_file_of_any_dataset(tmp_path):
    file = tmp_path / 'groups.csv'
    file.write_text('\ufeffimage,patient\n0026.png, P1\n\nsub/0027,P2\nelsewhere,P3\n')
    dataset = folder_dataset(tmp_path, group_file='groups.csv')
    assert [dataset.get_data_info(i)['group'] for i in range(2)] == ['P1', 'P2']
    assert folder_dataset(tmp_path).get_data_info(0)['group'] is None
    dataset = DATASETS.build(
        dict(
            type='CamVidDataset', data_root=str(tmp_path), img_suffix='.png',
            data_prefix=dict(img_path='img', seg_map_path='mask'), group_file=str(file),
        )
    )  # fmt: skip
    assert [dataset.get_data_info(i)['group'] for i in range(2)] == ['P1', 'P2']
    # the line of column names says what the groups are; the frames' names say the video
    assert dataset.metainfo['group_unit'] == 'patient'
    names = ['Seq05VD_f00000.png', '0001TP_008550.png']
    pattern = dataset.metainfo['video_pattern']
    assert [re.search(pattern, name)[1] for name in names] == ['Seq05VD', '0001TP']


@pytest.mark.parametrize(
    'text, unit',
    [
        ('stem,patient\na,1\n', 'patient'),
        ('Image; Patient ID\n'.replace(';', ',') + 'a,1\n', 'patient'),
        ('image_id,video_id\na,1\n', 'video'),
        ('a,P1\nb,P1\n', 'group'),
        ('image,1\n', 'group'),
    ],
)
def test_group_files_say_what_groups_are(tmp_path, text, unit):
    (tmp_path / 'groups.csv').write_text(text)
    assert group_unit(str(tmp_path / 'groups.csv')) == unit


@pytest.mark.parametrize('text, message', [
    ('26,P1\nsub/27,P2\n', r"no group for '0026' \(and 1 more\), but for 2 others such as '26'"),
    ('0026;P1\n', r"line 1: expected two columns.*got '0026;P1'"),
    ('0026,P1\n0027,\n', 'line 2: expected two columns'),
    ('0026,P1\n0026,P2\n', r"line 2: '0026' is in group 'P2' here and in 'P1' above"),
])  # fmt: skip
def test_group_file_mistakes(tmp_path, text, message):
    (tmp_path / 'groups.csv').write_text(text)
    with pytest.raises(ValueError, match=rf'groups\.csv.*{message}'):
        folder_dataset(tmp_path, group_file='groups.csv')


def test_group_file_of_another_encoding(tmp_path):
    (tmp_path / 'groups.csv').write_text('a,P1\n', encoding='utf-16')
    with pytest.raises(ValueError, match='groups.csv is no UTF-8 text .*save it as CSV in UTF-8'):
        read_groups(str(tmp_path / 'groups.csv'))


def test_group_file_that_is_absent(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.csv: no such group file'):
        folder_dataset(tmp_path, group_file='none.csv')


def soft_mask():
    """Half white, with the noise that JPEG leaves next to an edge."""
    mask = lesion(10)
    mask[9], mask[10] = 240, 12
    return mask


def test_soft_edges_are_thresholded_and_counted():
    done, soft = binary_mask(soft_mask(), 'm.png')
    np.testing.assert_array_equal(done, lesion(10, white=1))
    assert done.dtype == np.uint8 and soft == 60
    wide = soft_mask().astype(np.uint16) * 257
    np.testing.assert_array_equal(binary_mask(wide, 'm.png')[0], done)
    with pytest.raises(ValueError, match=r'm\.png: 60 pixels have the values \[12, 240\].*strict'):
        binary_mask(soft_mask(), 'm.png', strict=True)
    np.testing.assert_array_equal(binary_mask(lesion(7), 'm', strict=True)[0], lesion(7, white=1))


def test_threshold_is_the_smallest_foreground_value():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for threshold in (1, 127, 255):
        done, soft = binary_mask(ramp, 'm.png', threshold=threshold)
        assert done.sum() == 256 - threshold and soft == 254
    wide = np.array([[0, 126 * 257, 127 * 257 - 1, 127 * 257, 65535]], np.uint16)
    done = binary_mask(wide, 'm.png', threshold=127)[0]
    np.testing.assert_array_equal(done, [[0, 0, 0, 1, 1]])


def test_masks_that_are_something_else_are_refused():
    third = lesion(10)
    third[10:12] = 128  # 60 grey pixels beside 300 white ones
    with pytest.raises(ValueError, match=r'm\.png: 60 pixels are grey \(64 to 191\).*--threshold'):
        binary_mask(third, 'm.png')
    third[10:12, 1:] = 0  # 2 are an edge
    assert binary_mask(third, 'm.png')[0].sum() == 302
    with pytest.raises(ValueError, match=r'm\.png: the values reach up to 1 only.*--threshold 1'):
        binary_mask(lesion(3, white=1), 'm.png')
    done = binary_mask(lesion(3, white=1), 'm.png', threshold=1)[0]
    np.testing.assert_array_equal(done, lesion(3, white=1))
    with pytest.raises(ValueError, match=r'm\.png: the mask holds colors'):
        binary_mask(np.zeros((2, 2, 3), np.uint8), 'm.png')
    with pytest.raises(ValueError, match=r'm\.png: the mask holds values of type float32'):
        binary_mask(np.zeros((2, 2), np.float32), 'm.png')


@pytest.mark.parametrize('change, error, message', [
    (lambda root: (root / 'masks/a_2.tif').unlink(), FileNotFoundError,
     r'images/a_2\.jpg: no mask of this stem in .*masks'),
    (lambda root: (root / 'images/b_2.bmp').unlink(), FileNotFoundError,
     r'masks/b_2\.png: no image of this stem in .*images'),
    (lambda root: write(root / 'masks/b_2.png', lesion(2)[:, :10]), ValueError,
     r'masks/b_2\.png: the mask is 10x20 .*images/b_2\.bmp is 30x20'),
    (lambda root: (root / 'masks/c_1.png').write_bytes(b'damaged'), ValueError,
     r'masks/c_1\.png: cannot be decoded'),
    (lambda root: (root / 'images/c_1.png').write_bytes(b''), ValueError,
     r'images/c_1\.png: cannot be decoded'),
    (lambda root: [p.unlink() for p in (root / 'images').iterdir()], ValueError,
     r'images: no image there'),
    (lambda root: [write(p, lesion(0)) for p in (root / 'masks').iterdir()], ValueError,
     r'no lesion mask has foreground'),
    (lambda root: write(root / 'images/c_1.tif', grey()), ValueError,
     r'c_1\.tif have the same stem'),
    (lambda root: write(root / 'masks/c_1.png', np.dstack([lesion(4), lesion(0), lesion(0)])),
     ValueError, r'masks/c_1\.png: the mask holds colors'),
    (lambda root: write(root / 'masks/c_1.png', soft_mask()), ValueError,
     r'masks/c_1\.png: 60 pixels have the values \[12, 240\]'),
])  # fmt: skip
def test_bad_sources_leave_nothing_behind(raw, change, error, message):
    root, _ = raw
    change(root)
    with pytest.raises(error, match=message):
        convert(root, strict='values' in message)
    assert only_sources_are_left(root)


def refusal(root, *arguments, monkeypatch):
    """The line with which the tool ends; ``sys.exit`` prints it and gives status 1."""
    tool = load_tool('dataset_converters/bmseg')
    folders = [root / name for name in ('images', 'masks', 'out')]
    monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, (*folders, *arguments))])
    with pytest.raises(SystemExit) as exit_:
        tool.main()
    assert isinstance(exit_.value.code, str) and '\n' not in exit_.value.code
    return exit_.value.code


EVERYONE = 'stem,patient\na_1,A\na_2,A\nb_1,B\nb_2,B\nc_1,C\n'


@pytest.mark.parametrize('content, message', [
    (None, r': no such file; --patients takes lines of stem,patient'),
    (b'PK\x03\x04\xff\xfe', r' is no UTF-8 text .*save it as CSV in UTF-8'),
    (b'', r": no group for 'a_1' \(and 4 more\): give every image a group"),
    (EVERYONE.replace(',', ';').encode(), r', line 1: expected two columns.*got .stem;patient'),
    (EVERYONE.replace('b_1,B', 'b_1,B,7').encode(), r', line 4: expected two columns'),
    (f'"{"x" * 200_000}",A\n'.encode(), r' is no CSV file \(field larger'),
    (EVERYONE.replace('b_1,B\n', '').encode(), r": no group for 'b_1', but for 5 others"),
    (f'{EVERYONE}b_3,B\nd_1,D\n'.encode(), r": no image of the stem 'b_3' \(and 1 more\): add the"),
])  # fmt: skip
def test_bad_patients_leave_nothing_behind(raw, monkeypatch, tmp_path_factory, content, message):
    root, _ = raw
    file = tmp_path_factory.mktemp('patients') / 'who.csv'
    if content is not None:
        file.write_bytes(content)
    line = refusal(root, '--patients', file, monkeypatch=monkeypatch)
    assert re.match(rf'error: {re.escape(str(file))}{message}', line), line
    assert only_sources_are_left(root)


def cut(path, share=0.7):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def flip(path, mark, offset):
    """Change one byte of the file, behind the first ``mark``."""
    data = bytearray(path.read_bytes())
    data[data.index(mark) + offset] ^= 0xFF
    path.write_bytes(data)


def deflated_tif(path, image):
    path.unlink()
    tifffile.imwrite(path.with_suffix('.tif'), image, compression='zlib')
    flip(path.with_suffix('.tif'), b'\x78', 4)  # the start of zlib's data


@pytest.mark.parametrize('damage, name', [
    (lambda root: cut(root / 'images/c_1.png'), 'images/c_1.png'),
    (lambda root: cut(root / 'images/a_2.jpg'), 'images/a_2.jpg'),
    (lambda root: cut(root / 'images/b_2.bmp'), 'images/b_2.bmp'),
    (lambda root: cut(root / 'images/b_1.tif'), 'images/b_1.tif'),
    (lambda root: deflated_tif(root / 'images/c_1.png', grey()), 'images/c_1.tif'),
    (lambda root: cut(root / 'masks/c_1.png'), 'masks/c_1.png'),
    (lambda root: flip(root / 'masks/c_1.png', b'IEND', -5), 'masks/c_1.png'),  # a sum
    (lambda root: flip(root / 'masks/c_1.png', b'IDAT', -20), 'masks/c_1.png'),  # the header
    (lambda root: cut(root / 'masks/a_2.tif'), 'masks/a_2.tif'),
    (lambda root: flip(root / 'masks/b_1.bmp', b'BM', 20), 'masks/b_1.bmp'),  # a huge width
])  # fmt: skip
def test_damaged_files_leave_nothing_behind(raw, monkeypatch, damage, name):
    root, _ = raw
    damage(root)
    line = refusal(root, monkeypatch=monkeypatch)
    assert re.match(
        rf'error: {re.escape(str(root / name))}: (cannot be decoded|the file is d)', line
    )
    assert 'replace' in line and ' at 0x' not in line
    assert only_sources_are_left(root)


@pytest.mark.parametrize('settings, message', [
    (dict(threshold=0), r'--threshold must lie in 1\.\.255, got 0'),
    (dict(threshold=9, strict=True), 'contradict'),
    (dict(patients='x', patient_regex='y'), 'not both'),
    (dict(image_max=0), r'--image-max must lie in 1\.\.65535'),
    (dict(patient_regex='('), 'is no regular expression'),
    (dict(patient_regex=r'^([ab])_'), "no group for 'c_1', but for 4 others"),
])  # fmt: skip
def test_bad_settings(raw, settings, message):
    root, _ = raw
    with pytest.raises(ValueError, match=message):
        convert(root, **settings)
    assert only_sources_are_left(root)


def test_an_interruption_leaves_nothing_behind(raw, monkeypatch):
    root, _ = raw
    seen = []

    def interrupt(path, *args, **kwargs):
        seen.append(path)
        if len(seen) == 3:
            assert not only_sources_are_left(root)
            raise KeyboardInterrupt
        return lesion(2)

    monkeypatch.setattr('mmseg_ext.datasets.bmseg_files.read_mask', interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(root)
    assert only_sources_are_left(root)


def test_output_is_never_overwritten(raw):
    root, _ = raw
    (root / 'out').mkdir()
    convert(root)  # an empty folder is taken
    before = sorted(str(p) for p in (root / 'out').rglob('*'))
    with pytest.raises(FileExistsError, match='out exists and is no empty folder'):
        convert(root)
    assert sorted(str(p) for p in (root / 'out').rglob('*')) == before


def test_masks_among_the_images_and_12_bits(tmp_path):
    for stem in ('p/1', 'q/1'):
        write(tmp_path / f'all/{stem}.png', np.full((20, 30), 4095, np.uint16))
        write(tmp_path / f'all/{stem}_Mask.PNG', lesion(2))
    arguments = (str(tmp_path / 'all'), str(tmp_path / 'all'), str(tmp_path / 'out'))
    settings = dict(mask_suffix='_mask', patient_regex='^[^/]+', progress=False)
    summary = convert_bmseg(*arguments, image_max=4095, **settings)
    assert (read(tmp_path / 'out/img_dir/q/1.png') == 255).all()
    assert (read(tmp_path / 'out/ann_dir/p/1.png') == lesion(2, white=1)).all()
    assert summary['patients'] == 2 and summary['split'] == dict(train=1, val=1)
    assert not any('warning' in line for line in describe(summary, image_max=4095))
    arguments = (*arguments[:2], str(tmp_path / 'dark'))
    lines = describe(convert_bmseg(*arguments, **settings))
    assert (read(tmp_path / 'dark/img_dir/q/1.png') == 16).all()
    assert any('brightest 16-bit value is 4095' in line for line in lines)


def test_one_patient_cannot_be_split(raw):
    root, _ = raw
    (root / 'one.csv').write_text(''.join(f'{s},P\n' for s in ('a_1', 'a_2', 'b_1', 'b_2', 'c_1')))
    summary = convert(root, patients=str(root / 'one.csv'))
    assert summary['split'] == {} and not (root / 'out/train.txt').exists()
    assert any('too few to split' in line for line in describe(summary))


def test_tool(raw, python_tool):
    root, _ = raw
    (root / 'who.csv').write_text('a_1,A\na_2,A\nb_1,B\nb_2,B\nc_1,C\n')
    write(root / 'masks/c_1.png', soft_mask())
    arguments = [TOOL, root / 'images', root / 'masks', root / 'out']
    arguments += ['--patients', root / 'who.csv']
    arguments += ['--bone-masks', root / 'bones', '--bone-suffix', '_bone']
    done = python_tool(*arguments, '--strict', check=False)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'c_1.png: 60 pixels have the values [12, 240]' in done.stderr
    assert not (root / 'out').exists()
    done = python_tool(*arguments, env={'MMSEG_EXT_PROGRESS': '1'})
    assert 'out: written' in done.stdout and '5 images, 3 patients' in done.stdout
    assert 'lesion 20.000 %' in done.stdout  # 3 + 5 + 0 + 2 + 10 of 100 rows
    assert '60 pixels (2.000 %) in 1 masks were neither black nor white' in done.stdout
    assert '5/5' in done.stderr  # the bar
    np.testing.assert_array_equal(read(root / 'out/ann_dir/c_1.png'), lesion(10, white=1))


def data_folder(name):
    data = os.environ.get('MMSEG_EXT_DATA')
    if not data or not os.path.isdir(f'{data}/{name}'):
        pytest.skip(f'MMSEG_EXT_DATA holds no {name}')
    return Path(data) / name


def test_real_slices(tmp_path):
    folder = data_folder('bmseg24')
    out = tmp_path / 'out'
    summary = convert_bmseg(str(folder / 'images'), str(folder / 'masks'), str(out), progress=False)
    # Counted with OpenCV: 24 * 512 * 512 pixels, none of a value from 44 to 215.
    assert summary['masks']['lesion'] == dict(
        pixels=6291456, foreground=85286, empty=0, soft=24, soft_pixels=50686
    )
    assert (summary['images'], summary['patients']) == (24, 0)
    settings = dict(type='BMSegDataset', pipeline=LOAD)
    converted = DATASETS.build(dict(settings, data_root=str(out)))
    prefix = dict(img_path='images', seg_map_path='masks')
    direct = DATASETS.build(
        dict(settings, data_root=str(folder), data_prefix=prefix, mask_threshold=127)
    )
    for index in (0, 5, 23):
        for key in ('img', 'gt_seg_map'):
            np.testing.assert_array_equal(converted[index][key], direct[index][key])


def load_base(name):
    if name == 'bmseg_bone':  # not a base: the row changes the target
        return Config.fromfile(ROOT / 'configs/mfp/mfp_mobilenetv2_bmseg_bone.py')
    return Config.fromfile(ROOT / f'configs/_base_/datasets/{name}.py')


@pytest.mark.parametrize('name', ['bmseg', 'bmseg_bone', 'bmseg24', 'vertebra'])
def test_base_configs(name):
    config = load_base(name)
    types = [step.type for step in config.train_pipeline]
    assert {'RandomFlip', 'RandomApply', 'SaltPepper'} < set(types)
    assert not {'RandomFlip', 'RandomApply', 'SaltPepper'} & {s.type for s in config.test_pipeline}
    sizes = [step.get('crop_size') or step.get('scale') for step in config.train_pipeline]
    assert [size for size in sizes if size] == [config.crop_size]
    for split in ('train', 'val', 'test'):
        dataset = config[f'{split}_dataloader'].dataset
        assert dataset.type == config.dataset_type
        assert ('bone' in name) == (dataset.get('target') == 'bone')
    assert config.num_classes == 2 and config.ignore_index == 255
    json.dumps(config.to_dict())  # plain values: the dumped config loads again


def test_lists_of_bmseg24_are_disjoint_ranges():
    lists = ROOT / 'configs/_base_/splits/bmseg24'
    train, val = ((lists / f'{name}.txt').read_text().split() for name in ('train', 'val'))
    assert (len(train), len(val)) == (18, 6)
    stems = sorted(train + val)
    assert len(set(stems)) == 24
    first = stems.index(val[0])
    assert stems[first : first + 6] == val  # one range: no neighbours within it are divided


def test_folds_of_bmseg24_take_every_slice():
    data_folder('bmseg24')
    pool = read_pool(load_base('bmseg24'))
    assert len(pool.pairs) == 24
    assert pool.note.startswith('pool train+val: 24 images (train 18, val 6); no labelled')


@pytest.mark.parametrize('name, sizes', [
    ('bmseg24', dict(train=18, val=6)), ('vertebra', dict(train=3394, val=365)),
])  # fmt: skip
def test_base_configs_on_real_files(name, sizes):
    data_folder(name)
    config = load_base(name)
    np.random.seed(0)
    for split, number in sizes.items():
        dataset = DATASETS.build(config[f'{split}_dataloader'].dataset)
        assert len(dataset) == number
        done = dataset[number // 2]
        label = done['data_samples'].gt_sem_seg.data
        assert label.unique().tolist() == [0, 1]
        assert label.shape[1:] == done['inputs'].shape[1:]
        if split == 'train':
            assert tuple(label.shape[1:]) == config.crop_size


def test_bmseg_config_on_a_converted_folder(raw, monkeypatch):
    root, _ = raw
    convert(root, bone_masks=str(root / 'bones'), bone_suffix='_bone', patient_regex='^[a-z]')
    (root / 'out').rename(root / 'bmseg')
    monkeypatch.setenv('MMSEG_EXT_DATA', str(root))
    for name, foreground in (('bmseg', 330), ('bmseg_bone', 1500)):
        config = load_base(name)
        assert config.train_dataloader.batch_size == 8
        assert len(read_pool(config).pairs) == 5  # folds take train.txt and val.txt
        found = 0
        for split in ('train', 'val'):
            dataset = DATASETS.build(config[f'{split}_dataloader'].dataset)
            for sample in dataset:
                label = sample['data_samples'].gt_sem_seg.data
                # Training resizes the labels; validation leaves them at the size of the file.
                assert label.shape == ((1, 512, 512) if split == 'train' else (1, 20, 30))
                assert sample['inputs'].shape == (3, 512, 512)
                found += float((label == 1).float().mean() * 600)
        assert found == pytest.approx(foreground, rel=0.02)
