"""Data are read one way: check, training and predicting agree on every file, and on its pixels."""

import io
import re
from collections import Counter
from pathlib import Path

import cv2
import mmcv.transforms
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image
from support import picture_zoo as zoo

import mmseg_ext
from mmseg_ext.apis.predict.predictor import build_pipeline
from mmseg_ext.apis.userdata.checks.check import check_data
from mmseg_ext.apis.userdata.checks.page import write_page
from mmseg_ext.apis.userdata.checks.text import as_text
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.core.masks import read_mask
from mmseg_ext.core.reading import read_color, read_image

ROWS = [dict(type='LoadImageFromFile'), dict(type='LoadLabels'), dict(type='PackSegInputs')]


@pytest.fixture(scope='module')
def collection(tmp_path_factory):
    """The files, and what check says of each stem."""
    folder = tmp_path_factory.mktemp('zoo')
    odd = zoo.write(folder)
    report = check_data(folder / 'zoo.yml')
    return folder, odd, report


@pytest.fixture(scope='module')
def trained(collection):
    """Stem -> pixels and labels that training gets, or the words it ends with."""
    folder, _, _ = collection
    init_default_scope('mmseg')
    config = read_data_file(folder / 'zoo.yml').dataset_config('train', ROWS)
    data = DATASETS.build(config)
    found = {}
    for index in range(len(data)):
        stem = data.stem_of(data.get_data_info(index)['img_path'])
        try:
            item = data[index]
        except ValueError as error:
            found[stem] = str(error)
        else:
            pixels = item['inputs'].numpy().transpose(1, 2, 0)
            found[stem] = (pixels, item['data_samples'].gt_sem_seg.data[0].numpy())
    return found


def test_check_and_training_agree_on_every_file(collection, trained):
    folder, odd, report = collection
    checked = {s.pair.stem: s for s in report.of('train')}
    assert len(odd) >= 400 and set(checked) == set(trained) == set(odd)
    differing, unexpected, other_words = [], [], []
    for stem, (_, item) in odd.items():
        refused = isinstance(trained[stem], str)
        sample = checked[stem]
        if bool(sample.kind) != refused:
            differing.append((item.kind, sample.kind, trained[stem] if refused else 'read'))
        if item.fate != 'any' and (item.fate == 'refused') != refused:
            unexpected.append((item.kind, item.fate, trained[stem] if refused else 'read'))
        words = [text for _, text in sample.problems]
        if refused and words and trained[stem] not in words:
            other_words.append((item.kind, trained[stem], words))
        if refused:
            assert '\n' not in trained[stem].replace('two\nlines', '')
            assert Path(sample.pair.image).name in trained[stem] or (
                Path(sample.pair.mask).name in trained[stem]
            )
    assert differing == [] and unexpected == [] and other_words == []
    fates = Counter(isinstance(value, str) for value in trained.values())
    assert fates[True] >= 190 and fates[False] >= 200
    assert len({item.kind for _, item in odd.values()}) >= 240


def test_predicting_reads_what_training_reads(collection, trained):
    folder, odd, _ = collection
    pipeline = build_pipeline(
        Config(dict(test_dataloader=dict(dataset=dict(pipeline=ROWS)), default_scope='mmseg'))
    )
    compared = 0
    for path in sorted((folder / 'images').iterdir()):
        stem = path.name[: -len(path.suffix)]
        side, _ = odd[stem]
        try:
            pixels = pipeline(dict(img_path=str(path)))['inputs'].numpy().transpose(1, 2, 0)
        except ValueError as error:
            assert side == 'image' and trained[stem] == str(error)
            continue
        if isinstance(trained[stem], str):
            assert side == 'mask', (stem, trained[stem])
        else:
            np.testing.assert_array_equal(pixels, trained[stem][0])
            compared += 1
    assert compared >= 200


def _transposed(image, turn):
    """Turn a picture by an EXIF orientation, as Pillow's documentation lists it."""
    how = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(turn)
    return image if how is None else image.transpose(Image.Transpose(how))


def test_pixels_are_those_of_other_decoders(collection, trained):
    """Images against mmcv's own loader, labels against Pillow."""
    folder, odd, _ = collection
    theirs = mmcv.transforms.LoadImageFromFile()
    counts = Counter()
    for stem, (side, item) in odd.items():
        if isinstance(trained[stem], str):
            continue
        path = next(p for p in (folder / f'{side}s').iterdir() if p.stem == stem)
        if side == 'mask':
            if 'RGB' in item.kind or 'LA' in item.kind or re.search('[uif]8|u4|f2', item.kind):
                continue
            with Image.open(io.BytesIO(path.read_bytes())) as file:
                file.load()  # which turns a TIFF already, unless it is mapped into memory
                turn = 1 if file.format == 'TIFF' else file.getexif().get(274, 1)
                expected = np.asarray(_transposed(file, turn)).astype(int)
            np.testing.assert_array_equal(trained[stem][1], expected, err_msg=item.kind)
        elif path.suffix.startswith('.tif') and re.search('16 bit|order|A|YCbCr', item.kind):
            continue  # OpenCV multiplies the opacity in, and rounds
        else:
            expected = theirs(dict(img_path=str(path)))['img']
            np.testing.assert_array_equal(trained[stem][0], expected, err_msg=item.kind)
        counts[side, path.suffix] += 1
    assert counts['image', '.tif'] >= 25 and counts['mask', '.tif'] >= 25 and len(counts) >= 13


def test_all_channels_and_bits_are_upright_too(collection):
    """``LoadImage`` turns as ``LoadImageFromFile`` does, and gives the same 8-bit colors."""
    folder, odd, _ = collection
    compared = 0
    for stem, (side, item) in odd.items():
        if side == 'image' and item.fate == 'read' and item.data:
            path = str(folder / 'images' / f'{stem}{item.suffix}')
            color, full = read_color(path), read_image(path)
            assert color.flags.writeable and full.flags.writeable, item.kind
            if full.dtype == np.uint8 and 'CMYK' not in item.kind:
                full = full[..., :1] if full.shape[2] < 3 else full[..., :3]
                np.testing.assert_array_equal(np.broadcast_to(full, color.shape), color, item.kind)
                compared += 1
            elif full.dtype == np.uint16:
                full = (full[..., :3] >> 8).astype(np.uint8)
                np.testing.assert_array_equal(np.broadcast_to(full, color.shape), color, item.kind)
                compared += 1
    assert compared >= 135


def test_report_and_page_name_every_broken_file(collection):
    folder, odd, report = collection
    text = as_text(report)
    text.encode('utf-8')  # a name that is no text does not stop the print
    page = write_page(report, folder / 'check.html').read_text(encoding='utf-8')
    broken = [s for s in report.of('train') if s.problems]
    assert len(broken) >= 185
    assert all(Path(s.pair.image).stem in page for s in broken)
    assert re.search(r'unreadable files \(\d{2,}\)', text) and 'and ' in text
    assert cv2.imread(str(folder / 'images' / '000.jpg')) is not None


def test_masks_of_one_color_for_each_class_say_so(collection):
    folder, odd, _ = collection
    for kind, words in (
        ('mask pages', r'the mask has \d pages'),
        ('mask channels', r'the mask has \d channels'),
        ('mask in alpha', 'in the opacity'),
    ):
        stems = [stem for stem, (_, item) in odd.items() if item.kind == kind]
        assert len(stems) >= 2
        for stem in stems:
            path = next(p for p in (folder / 'masks').iterdir() if p.stem == stem)
            with pytest.raises(ValueError, match=rf'{path.name}: .*{words}.*: save'):
                read_mask(str(path))


def test_one_module_opens_pictures():
    """Whoever opens a picture by another door reads it in another way."""
    root = Path(mmseg_ext.__file__).parent
    doors = re.compile(
        r'Image\.open|\bimread|imdecode(multi)?\(|imfrombytes|TiffFile|tifffile\.imread|imageio'
    )
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob('*.py')
        if '.mim' not in path.parts and doors.search(path.read_text(encoding='utf-8'))
    }
    readers = {f'core/{name}.py' for name in ('headers', 'masks', 'reading', 'rows', 'tiff')}
    others = {
        'datasets/bmseg_files.py',  # PNG's check sums, before the one reader reads
        'apis/userdata/outlines/labelme.py',  # bitmaps inside of a JSON file
        'apis/userdata/outlines/supervisely.py',  # the same
        'apis/bench/programs.py',  # other packages, as their documentation says
        'apis/bench/throughput.py',  # the masks that these wrote
    }
    assert readers <= found <= readers | others
