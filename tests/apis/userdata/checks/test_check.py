"""tools/dataset.py check: what it finds, counts against numpy, its page; the file itself."""

import io
import os
import re
import shutil
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from PIL import Image

import mmseg_ext
from mmseg_ext.apis.cli.errors import run_tool
from mmseg_ext.apis.userdata.apply import apply_dataset
from mmseg_ext.apis.userdata.checks.check import check_data
from mmseg_ext.apis.userdata.checks.page import choose_examples, labels_of, write_page
from mmseg_ext.apis.userdata.checks.text import as_text, class_rows
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.apis.userdata.scan import each_in_threads, probe_images
from mmseg_ext.core.masks import read_mask
from mmseg_ext.core.reading import read_color as read_turned
from mmseg_ext.datasets.folder import FolderDataset, read_list
from mmseg_ext.datasets.loading import LoadLabels

ROOT = os.path.dirname(os.path.dirname(mmseg_ext.__file__))
SIZE = (10, 20)
TEXT = """
classes: [sky, tree, {name: car, value: 9}]
ignore_value: [255, 3]
train: {images: images/train, masks: masks/train}
val: {images: images/val, masks: masks/val}
"""


def _save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path):
    """Four images for train, two for val, whose masks hold 0, 1, 9 and the ignored 3 and 255."""
    random = np.random.default_rng(0)
    for part, stems in (('train', 'abcd'), ('val', 'ef')):
        for stem in stems:
            _save(tmp_path / f'images/{part}/{stem}.png', random.integers(0, 256, (*SIZE, 3)))
            mask = np.array([0, 1, 9, 255, 3])[random.integers(0, 5, SIZE)]
            _save(tmp_path / f'masks/{part}/{stem}.png', mask)
    (tmp_path / 'mine.yml').write_text(TEXT)
    return tmp_path


def test_a_good_data_set_has_no_findings(folder):
    report = check_data(folder / 'mine.yml')
    assert report.errors == {} and report.warnings == {}
    for part, count in (('train', 4), ('val', 2)):
        masks = [read_mask(str(p)) for p in sorted((folder / 'masks' / part).iterdir())]
        assert len(masks) == count == len(report.of(part))
        values = ((0,), (1,), (9,), (3, 255))
        expected = [sum(int(np.isin(m, v).sum()) for m in masks) for v in values]
        assert report.pixels(part).tolist() == expected
        assert sum(expected) == count * SIZE[0] * SIZE[1]
    row = class_rows(report)[2]
    pixels = report.pixels('train')
    assert row[0] == 'car' and row[1] == f'{100 * pixels[2] / 800:.2f}' and row[2] == '4'


def test_labels_are_those_that_training_loads(folder):
    data = read_data_file(folder / 'mine.yml')
    config = data.dataset_config('train')
    dataset = FolderDataset(**{k: v for k, v in config.items() if k != 'type'})
    assert len(dataset) == 4
    for index in range(4):
        info = dataset.get_data_info(index)
        loaded = LoadLabels().transform(info)['gt_seg_map']
        np.testing.assert_array_equal(loaded, labels_of(data, read_mask(info['seg_map_path'])))
    assert set(np.unique(loaded)) == {0, 1, 2, 255}


def _break(folder):
    """One fault of every kind."""
    (folder / 'images/train/a.png').write_bytes(b'no picture')
    (folder / 'masks/train/b.png').write_bytes((folder / 'masks/train/b.png').read_bytes()[:60])
    _save(folder / 'masks/train/c.png', np.zeros((5, 20)))
    mask = np.zeros(SIZE)
    mask[0, :7] = 77
    _save(folder / 'masks/val/e.png', mask)
    shutil.copy(folder / 'images/train/d.png', folder / 'images/val/f.png')
    _save(folder / 'images/val/g.png', np.ones((*SIZE, 3)))
    _save(folder / 'masks/val/h.png', np.ones(SIZE))


def test_every_kind_of_fault_is_found(folder):
    _break(folder)
    report = check_data(folder / 'mine.yml')
    assert {kind: len(found) for kind, found in report.errors.items()} == {
        'unreadable files': 2,
        'size mismatches': 1,
        'values without a class': 1,
        'images without a mask': 1,
        'images in two splits': 1,
    }
    text = as_text(report)
    for words in (
        'images/train/a.png: cannot be decoded as an image',
        'masks/train/b.png: cannot be decoded as a mask',
        'masks/train/c.png: the mask is 20x5 pixels (width x height), its image',
        'masks/val/e.png: the mask holds the values 77, and',
        'names 3 classes with the values 0, 1, 9: add the missing ones',
        '(7 pixels in 1 masks)',
        'val: 1 images, g',
        'images/val/f.png',
    ):
        assert words in text, words
    assert report.warnings['masks without an image'] == ['val: 1 masks, h']


def test_the_same_picture_in_another_file_format_is_a_duplicate(folder):
    with Image.open(folder / 'images/train/a.png') as image:
        image.save(folder / 'images/val/e.bmp')
    (folder / 'images/val/e.png').unlink()
    report = check_data(folder / 'mine.yml')
    assert list(report.errors) == ['images in two splits']
    (message,) = report.errors['images in two splits']
    assert 'train: ' in message and 'a.png' in message and 'e.bmp' in message


def test_warnings(folder):
    _save(folder / 'masks/val/e.png', np.full(SIZE, 255))
    _save(folder / 'masks/val/f.png', np.zeros(SIZE))
    shutil.copy(folder / 'images/train/a.png', folder / 'images/train/b.png')
    report = check_data(folder / 'mine.yml')
    assert report.errors == {}
    assert report.warnings['classes without a pixel'] == [
        'val: tree, car (their scores are undefined)'
    ]
    assert report.warnings['masks without a labelled pixel'][0].startswith('val: 1 masks')
    assert len(report.warnings['images twice in one split']) == 1


# --------------------------------------------------------------------------------- page


class _Page(HTMLParser):
    """Collects what a browser would fetch, and whether tags are closed in order."""

    VOID = {'meta', 'link', 'br', 'img', 'wbr'}

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.text, self.ids = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for key, value in attrs if key in ('src', 'href')]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.sources += [value for key, value in attrs if key in ('src', 'href')]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize('broken', [False, True])
def test_the_page_is_whole_and_needs_nothing_else(folder, broken):
    if broken:
        _break(folder)
    path = write_page(check_data(folder / 'mine.yml'), folder / 'out.html')
    page = _Page()
    page.feed(path.read_text(encoding='utf-8'))
    assert page.open == []
    assert page.sources and all(source.startswith('data:') for source in page.sources)
    text = ' '.join(page.text)
    pictures = [source for source in page.sources if source.startswith('data:image')]
    if broken:
        assert 'values without a class' in text and 'image: unreadable' in text
        assert 'mask: unreadable' in text
    else:
        assert len(pictures) == 2 * 6 and 'None: every file can be read' in text
    assert re.search(r'\bcar\b', text) and 'train' in text


def test_photographs_are_turned_as_training_turns_them(folder):
    for value in range(1, 9):
        path = folder / f'images/train/t{value}.jpg'
        image = Image.fromarray(np.random.default_rng(value).integers(0, 256, (*SIZE, 3), 'u1'))
        exif = image.getexif()
        exif[0x0112] = value
        image.save(path, exif=exif)
        turned = read_turned(str(path))
        assert np.array_equal(turned, cv2.imread(str(path), cv2.IMREAD_COLOR))
        _save(folder / f'masks/train/t{value}.png', np.zeros(turned.shape[:2]))
    report = check_data(folder / 'mine.yml')
    assert report.errors == {}
    [text] = report.warnings['images that an EXIF tag turns']
    assert text.startswith('7 images, ') and 't1.jpg' not in text and 't2.jpg' in text
    _save(folder / 'masks/train/t6.png', np.zeros(SIZE))  # drawn on the pixels as stored
    errors = check_data(folder / 'mine.yml').errors
    assert list(errors) == ['size mismatches']
    assert 'if an EXIF tag turns the image, turn the mask likewise' in errors['size mismatches'][0]


def test_few_items_wait_for_the_threads():
    taken = []

    def items():
        for number in range(300):
            taken.append(number)
            yield number

    results = each_in_threads(lambda number: number**2, items(), 300, most=1)
    assert next(results) == 0 and len(taken) < 10
    assert list(results) == [number**2 for number in range(1, 300)]
    with pytest.raises(ZeroDivisionError):
        list(each_in_threads(lambda number: 1 // (number - 5), range(300), 300))


def test_examples_show_rare_classes(folder):
    report = check_data(folder / 'mine.yml')
    samples = report.of('train')
    rare = [s._replace(content=s.content._replace(pixels=np.array([5, 5, 0, 0]))) for s in samples]
    rare[2] = rare[2]._replace(content=rare[2].content._replace(pixels=np.array([0, 0, 1, 0])))
    chosen = choose_examples(rare, 3, 2)
    assert rare[2] in chosen and len(chosen) == 2
    assert choose_examples([], 3, 2) == []
    assert len(choose_examples(rare, 3, 10)) == 4


# --------------------------------------------------------------------------- data file

BAD = {
    'classes: [a]': 'at least two classes',
    'classes: [a, a]': "two classes are called 'a'",
    'classes: [no, b]': 'must be text, got False: put it into quotes',
    'classes: {a: 0}': 'classes must be a list',
    'classes: [{name: a, value: 1}, b]': "'a' and 'b' have the same value 1",
    'classes: [{nam: a}, b]': "has no entry 'nam'; did you mean name?",
    'clases: [a, b]': "the file has no entry 'clases'; did you mean classes?",
    'masks: colors': 'each class needs its color',
    'masks: rgb': 'masks must be values or colors',
    'ignore_value: 1': "ignore_value 1 is the value of class 'tree', too",
    'name: a/b': "name must be of letters, digits, _, - and ., got 'a/b'",
    'ignore_value: -1': 'must be a whole number from 0',
    'mask_threshold: 100': 'mask_threshold makes masks of 0 and 1: give two classes',
    'crop_size: [1, 2, 3]': r'crop_size must be \[height, width\]',
    'train: {images: x}': 'train must name the folder of its masks',
    'val: null': 'val must be given',
    'train: {images: x, masks: [': 'no valid YAML',
}


@pytest.mark.parametrize('line', BAD, ids=list(BAD))
def test_a_file_that_contradicts_itself_is_refused(folder, line):
    key = line.split(':')[0]
    kept = [text for text in TEXT.splitlines() if not text.startswith(f'{key}:')]
    if 'YAML' not in BAD[line]:
        kept = [text for text in kept if 'ignore' not in text or 'classes: [{' not in line]
    path = folder / 'bad.yml'
    path.write_text('\n'.join([*kept, line]))
    with pytest.raises(ValueError, match=rf'bad\.yml: .*{BAD[line]}'):
        read_data_file(path)


def test_missing_things_are_named(folder):
    with pytest.raises(FileNotFoundError, match='none.yml: no such data set file; python tools/'):
        read_data_file(folder / 'none.yml')
    with pytest.raises(ValueError, match='images: a folder, not the file that describes it; pyth'):
        read_data_file(folder / 'images')
    (folder / 'm.yml').write_text(TEXT.replace('masks/val', 'masks/vel'))
    with pytest.raises(FileNotFoundError, match=r'masks/vel: no such folder, which .*val\.masks'):
        check_data(folder / 'm.yml')
    (folder / 'empty').mkdir()
    (folder / 'm.yml').write_text(TEXT.replace('images/val', 'empty'))
    with pytest.raises(ValueError, match=r'm\.yml: the split val is empty: .*empty holds no file'):
        check_data(folder / 'm.yml')
    (folder / 'm.yml').write_text(TEXT.replace('masks/val}', 'masks/val, list: l.txt}'))
    with pytest.raises(FileNotFoundError, match=r'l\.txt: no such list'):
        check_data(folder / 'm.yml')
    (folder / 'l.txt').write_text('e\nq\n')
    with pytest.raises(FileNotFoundError, match=r"l\.txt names 'q', and .*images/val"):
        check_data(folder / 'm.yml')
    (folder / 'l.txt').write_text('f\n')
    assert [s.pair.stem for s in check_data(folder / 'm.yml').of('val')] == ['f']
    (folder / 'l.txt').write_text('\n')
    with pytest.raises(ValueError, match=r'the split val is empty: l\.txt names no image'):
        check_data(folder / 'm.yml')


def test_color_masks(folder):
    colors = dict(sky=[1, 2, 3], tree=[9, 9, 9], car=[200, 0, 0])
    lines = [f'- {{name: {name}, color: {color}}}' for name, color in colors.items()]
    text = '\n'.join(['masks: colors', 'classes:', *lines, 'ignore_value: [5, 5, 5]'])
    text += '\n' + '\n'.join(TEXT.splitlines()[-2:])
    (folder / 'c.yml').write_text(text)
    table = np.array([[1, 2, 3], [9, 9, 9], [200, 0, 0], [5, 5, 5]])
    ids = np.random.default_rng(1).integers(0, 4, SIZE)
    for path in (folder / 'masks').rglob('*.png'):
        _save(path, table[ids])
    report = check_data(folder / 'c.yml')
    assert report.errors == {}
    expected = np.bincount(ids.ravel(), minlength=4)
    np.testing.assert_array_equal(report.pixels('train'), 4 * expected)
    config = report.data.dataset_config('train')
    dataset = FolderDataset(**{k: v for k, v in config.items() if k != 'type'})
    loaded = LoadLabels().transform(dataset.get_data_info(0))['gt_seg_map']
    np.testing.assert_array_equal(loaded, np.where(ids == 3, 255, ids))
    _save(folder / 'masks/val/e.png', np.full((*SIZE, 3), [7, 8, 9]))
    report = check_data(folder / 'c.yml')
    (message,) = report.errors['values without a class']
    assert 'the mask holds the colors (RGB) [7, 8, 9]' in message
    # colors where values are expected
    (message, *_) = check_data(folder / 'mine.yml').errors['values without a class']
    assert 'masks: colors and give each class its color' in message


def test_a_run_ends_at_once_where_the_rows_cannot_read_images(folder):
    """With the words of check, whichever split it is."""
    cv2.imwrite(str(folder / 'images/val/e.png'), np.full(SIZE, 1000, np.uint16))
    report = check_data(folder / 'mine.yml')
    [text] = report.errors['images that the rows cannot read']
    assert 'values up to 1000' in text and 'would see 0 to 3' in text
    assert 'LoadImage(max_value=1023)' in text and text.count('\n') == 0
    probe_images(report.data, 'train')
    with pytest.raises(ValueError, match=re.escape(text)):
        probe_images(report.data, 'val')


def test_more_classes_than_a_byte_holds(folder):
    """300 classes: counts, colors, page."""
    shape = (10, 40)
    for part, stems in (('train', 'abcd'), ('val', 'ef')):
        for index, stem in enumerate(stems):
            mask = (np.arange(400).reshape(shape) * (index + 1)) % 300
            image = np.random.default_rng(index).integers(0, 256, (*shape, 3))
            _save(folder / f'images/{part}/{stem}.png', image + (part == 'val'))
            cv2.imwrite(str(folder / f'masks/{part}/{stem}.png'), mask.astype(np.uint16))
    names = ', '.join(f'c{index}' for index in range(300))
    text = TEXT.replace('[sky, tree, {name: car, value: 9}]', f'[{names}]')
    (folder / 'mine.yml').write_text(text.replace('ignore_value: [255, 3]', ''))
    report = check_data(folder / 'mine.yml')
    assert report.errors == {}
    assert report.pixels('train')[:300].sum() == 1600 and report.pixels('train')[0] > 4
    page = write_page(report, folder / 'check.html').read_text(encoding='utf-8')
    assert '>c299<' in page


def test_names_that_are_no_text_reach_screen_and_page(folder, monkeypatch):
    name = os.fsdecode(b'h\xf6he')
    (folder / f'images/train/{name}.png').write_bytes(b'no picture')
    _save(folder / f'masks/train/{name}.png', np.zeros(SIZE))
    report = check_data(folder / 'mine.yml')
    screen = io.TextIOWrapper(io.BytesIO(), encoding='utf-8')
    monkeypatch.setattr('sys.stdout', screen)
    with pytest.raises(SystemExit):
        run_tool(lambda: print(as_text(report)))
    screen.flush()
    shown = 'h\\udcf6he.png: cannot be decoded'
    assert shown in screen.buffer.getvalue().decode('utf-8')
    assert shown in write_page(report, folder / 'c.html').read_text(encoding='utf-8')


def test_lists_of_other_encodings_are_read(folder):
    for stem in 'ab':
        for kind in ('images', 'masks'):
            path = folder / f'{kind}/train/{stem}.png'
            path.rename(path.with_name(f'{stem}ü.png'))
    for encoding in ('utf-8', 'utf-8-sig', 'utf-16'):
        (folder / 'l.txt').write_bytes('aü\r\n\r\nbü'.encode(encoding))
        assert read_list(folder / 'l.txt') == ['aü', 'bü']
        (folder / 'm.yml').write_text(TEXT.replace('masks/train}', 'masks/train, list: l.txt}'))
        assert len(check_data(folder / 'm.yml').of('train')) == 2


def test_many_broken_files_stand_on_the_page_and_ten_on_the_screen(folder):
    for index in range(60):
        (folder / f'images/train/n{index:02d}.png').write_bytes(b'no picture')
        _save(folder / f'masks/train/n{index:02d}.png', np.zeros(SIZE))
    report = check_data(folder / 'mine.yml')
    text = as_text(report)
    assert 'unreadable files (60)' in text and text.count('no known format') == 10
    assert 'and 50 more' in text
    page = write_page(report, folder / 'check.html').read_text(encoding='utf-8')
    assert all(f'n{index:02d}.png: cannot' in page for index in range(60))


def test_images_of_12_bits_and_of_other_channels_by_the_data_set_file(folder):
    """image_max_value and image_channels: check passes and training scales, to the pixel."""
    random = np.random.default_rng(3)
    stored = {}
    for part, stems in (('train', 'abcd'), ('val', 'ef')):
        for stem in stems:
            stored[stem] = random.integers(0, 4096, (*SIZE, 3)).astype(np.uint16)
            cv2.imwrite(str(folder / f'images/{part}/{stem}.png'), stored[stem])
    path = folder / 'mine.yml'
    assert list(check_data(path).errors) == ['images that the rows cannot read']
    path.write_text(TEXT + 'image_max_value: 4095\n')
    report = check_data(path)
    assert report.errors == {} and report.warnings == {}
    probe_images(report.data, 'val')
    cfg = Config.fromfile(f'{ROOT}/configs/mfp/mfp_mobilenetv2_vertebra.py')
    apply_dataset(cfg, path)
    for steps in (cfg.train_dataloader.dataset.pipeline, cfg.test_dataloader.dataset.pipeline):
        assert steps[0] == dict(type='LoadImage', channels=3, max_value=4095)
    init_default_scope('mmseg')
    loaded = TRANSFORMS.build(steps[0])(dict(img_path=str(folder / 'images/train/a.png')))['img']
    np.testing.assert_allclose(loaded, stored['a'] * (255 / 4095), rtol=1e-6)
    _save(folder / 'images/val/f.png', stored['f'] / 16)
    path.write_text(TEXT + 'image_max_value: 1023\n')
    warnings = check_data(path).warnings
    assert warnings['images above image_max_value'][0].startswith('5 images, ')
    assert warnings['images of 8 bits below image_max_value'][0].startswith('1 images, ')
    path.write_text(TEXT + 'image_channels: 5\n')
    report = check_data(path)
    [first, *_] = report.errors['images that the rows cannot read']
    with pytest.raises(ValueError, match='was told to expect 5'):
        probe_images(report.data, 'train')
    assert 'has 3 channels, LoadImage was told to expect 5' in first


@pytest.mark.parametrize('line', ['image_max_value: 0', 'image_channels: -3'])
def test_settings_of_images_are_numbers_from_one(folder, line):
    (folder / 'bad.yml').write_text(f'{TEXT}{line}\n')
    with pytest.raises(ValueError, match=r'bad\.yml: image_\w+ must be a whole number from'):
        read_data_file(folder / 'bad.yml')
