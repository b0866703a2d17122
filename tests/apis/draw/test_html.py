"""The engine of all pages: what it renders, and how a real browser takes the four of them.

Names are hostile here: whoever names a class, a file or a data set writes no markup.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from jinja2 import UndefinedError
from support.runs import Row, write_run
from support.tiny import write_tiny_data

from mmseg_ext.apis.draw import html
from mmseg_ext.apis.draw.blocks import (
    Block,
    Cell,
    Example,
    Examples,
    Line,
    Note,
    Page,
    Pair,
    Picture,
    Table,
    plain,
    section,
)
from mmseg_ext.apis.draw.html import render
from mmseg_ext.apis.draw.pixels import encode, encode_flat
from mmseg_ext.apis.pages.report import write_report, write_table_report
from mmseg_ext.apis.userdata.checks.check import check_data
from mmseg_ext.apis.userdata.checks.page import write_page

SCRIPT = '<script>document.title = "owned"<'
IMAGE = '"><img src=x onerror=\'document.title = "owned"\'>'
CLASSES = (f'{SCRIPT}/script>', IMAGE, "road's & <b>")

# What a reader does, and what is to be seen then; the checkbox is clicked first, then a picture.
PROBE = """
const wide = [...page.querySelectorAll('.scroll')].map(box => [
  !box.previousElementSibling.hidden, box.scrollWidth > box.clientWidth + 1]);
const count = selector => page.querySelectorAll(selector).length;
const part = [...page.querySelectorAll('.examples')].find(one => one.querySelector('.photo'));
const box = part.querySelector('.over input');
const found = {title: page.title, scripts: count('script'), handlers: count('[onerror]'),
  text: page.body.textContent,
  alts: [...page.images].map(image => image.alt), wide: wide};
const frame = page.defaultView.frameElement;
found.sticksOut = [320, 500, 641, 700, 800, 900, 1000, 1280].filter(width => {
  frame.style.width = width + 'px';
  return page.documentElement.scrollWidth > width;
});
frame.style.width = '400px';
found.unnamed = count('.under');
found.offered = !part.querySelector('.over').hidden;
found.before = [box.checked, part.querySelectorAll('.under').length];
box.click();
found.after = [box.checked, part.querySelectorAll('.under').length];
part.querySelector('.zoom.labels').click();
const large = page.getElementById('large');
found.large = [large.open, large.querySelectorAll('img').length];
found.within = large.getBoundingClientRect().right - page.documentElement.clientWidth;
found.wider = large.querySelector('img').clientWidth > part.querySelector('.zoom img').clientWidth;
large.querySelector('div').click();
found.closed = !large.open;
return found;
"""


@pytest.fixture(scope='module')
def runs(tmp_path_factory, tiny_config):
    """Two runs on images whose names are markup."""
    root = tmp_path_factory.mktemp('hostile')
    data = write_tiny_data(root / 'data')
    for path in [*data.glob('*/*.png')]:
        path.rename(path.with_name(f'{IMAGE}{path.name}'))
    settings = dict(classes=CLASSES, name=SCRIPT, stem=IMAGE)
    made = [
        write_run(root / f'{SCRIPT}{seed}', data, tiny_config, wrong=0.5, seed=seed, **settings)
        for seed in (0, 1)
    ]
    for folder in made:  # as a test of these data leaves it
        config = (folder / 'tiny.py').read_text().replace(str(_data_of(tiny_config)), str(data))
        (folder / 'tiny.py').write_text(config)
    return made


def _data_of(config: Path) -> str:
    line = next(x for x in config.read_text().splitlines() if 'data_root=' in x)
    return line.split('data_root=')[1].split("'")[1]


def _data_page(folder: Path) -> Path:
    for part in ('train', 'val'):
        data = write_tiny_data(folder / part, count=2)
        for path in [*data.glob('*/*.png')]:
            path.rename(path.with_name(f'{IMAGE}{path.name}'))
    (folder / 'train' / 'img' / f'{SCRIPT}.png').write_bytes(b'no picture')
    shutil.copy(folder / f'train/mask/{IMAGE}0.png', folder / f'train/mask/{SCRIPT}.png')
    lines = [f'classes: {json.dumps(CLASSES)}', 'ignore_value: 255']
    lines += [f'{part}: {{images: {part}/img, masks: {part}/mask}}' for part in ('train', 'val')]
    (folder / 'mine.yml').write_text('\n'.join(lines))
    report = check_data(folder / 'mine.yml')
    report.data = dataclasses.replace(report.data, name=SCRIPT)
    return write_page(report, folder / 'data.html')


@pytest.fixture(scope='module')
def pages(runs, tmp_path_factory):
    """The four of them."""
    out = tmp_path_factory.mktemp('pages')
    rows = [Row(SCRIPT, IMAGE, tuple(runs[:1])), Row(IMAGE, SCRIPT, tuple(runs[1:]))]
    return dict(
        one=write_report(runs[0], out / 'one.html'),
        several=write_report(runs, out / 'several.html'),
        table=write_table_report(rows, out / 'table.html', title=SCRIPT, lead=IMAGE),
        data=_data_page(tmp_path_factory.mktemp('data')),
    )


@pytest.mark.parametrize('name', ['one', 'several', 'table', 'data'])
def test_markup_in_names_is_text_and_a_telephone_can_use_the_page(pages, browser_view, name):
    page = pages[name].read_text(encoding='utf-8')
    tree = ElementTree.fromstring(page)  # strictly
    assert len([*tree.iter('script')]) == 1 and not tree.findall('.//*[@onerror]')
    seen = browser_view(pages[name], 400, PROBE)
    assert seen['width'] <= 400 and seen['broken'] == 0 and seen['errors'] == []
    found = seen['probed']
    assert found['title'] == ''.join(tree.find('head/title').itertext()) != 'owned'
    assert found['scripts'] == 1 and found['handlers'] == 0
    assert all(text in found['text'] for text in (*CLASSES, SCRIPT, IMAGE))
    assert any(IMAGE in alt for alt in found['alts'])
    assert found['alts'].count('') == found['unnamed']  # copies of the photograph, already named
    assert found['sticksOut'] == []  # at these widths
    # a hint stands where a table is wider than the telephone, and nowhere else
    assert found['wide'] and all(hint == wide for hint, wide in found['wide'])
    over = name == 'data'
    assert found['offered'] and found['before'][0] is over and found['after'][0] is not over
    laid = sorted((found['before'][1], found['after'][1]))
    assert laid[0] == 0 and laid[1] >= 2
    assert found['large'] == [True, 1 if over else 2] and found['closed']
    assert found['within'] <= 0 and found['wider']


@pytest.mark.parametrize('width', [400, 1280])
def test_a_hint_stands_above_a_table_that_is_wider_than_its_place(tmp_path, browser_view, width):
    tables = [
        Table(
            ('row', *'abcdefgh'[:columns]), [Line(Cell('r'), plain(*['1,000,000'] * columns))], 't'
        )
        for columns in (1, 8)
    ]
    page = tmp_path / 'p.html'
    page.write_bytes(render(Page('t', '', [section('s', *tables)], '')))
    probe = "return [...page.querySelectorAll('.hint')].map(hint => getComputedStyle(hint).display)"
    seen = browser_view(page, width, probe)
    assert seen['probed'] == (['none', 'block'] if width == 400 else ['none', 'none'])
    assert seen['width'] <= width and seen['errors'] == []


def test_each_block_has_a_macro_and_nothing_is_marked_safe():
    kinds = {block.__name__.lower() for block in Block.__subclasses__()}
    macros = html.environment().get_template('blocks.html').module
    assert len(kinds) > 8 and kinds <= {name for name in dir(macros) if not name.startswith('_')}
    folder = Path(html.__file__).parent / 'templates'
    texts = [path.read_text() for path in [*folder.iterdir(), Path(html.__file__)]]
    assert len(texts) == 8
    for word in ('|safe', '| safe', 'Markup', 'autoescape false', 'autoescape=False'):
        assert not any(word in text for text in texts), word
    with pytest.raises(UndefinedError, match='nothing'):
        html.environment().from_string('{{ page.nothing }}').render(page=Page('', '', [], ''))


def test_characters_without_a_place_in_xml_are_written_by_their_number():
    page = render(Page('a\x00b\x1b\udcf6\ufffe', 'tab\there', [section('s', Note('ü€😀'))], ''))
    tree = ElementTree.fromstring(page.decode())
    assert tree.findtext('head/title') == r'a\x00b\x1b\udcf6\ufffe'
    assert tree.findtext('.//header/p') == 'tab\there' and tree.findtext('.//main//p') == 'ü€😀'


@pytest.mark.parametrize(
    'pairs, columns', [(1, 1), (2, 2), (3, 3), (5, 5), (6, 3), (9, 5), (10, 5), (11, 4)]
)
def test_the_rows_of_a_figure_are_equally_full(pairs, columns):
    example = Example('x', [Pair('p', [])] * pairs)
    assert example.columns == columns


def test_single_pictures_have_one_size_in_rows_of_unlike_length():
    picture = Picture(b'', 'png', 'p')
    single, double = (Example('x', [Pair('p', [picture] * count)]) for count in (1, 2))
    three = Example('x', [*single.pairs * 3])
    block = Examples([single, three, double])
    assert [block.columns(one) for one in block.examples] == [3, 3, 1]


def test_a_picture_of_few_colors_is_kept_exactly_and_small():
    random = np.random.default_rng(0)
    palette = random.integers(0, 256, (30, 3), dtype=np.uint8)
    label = np.repeat(np.repeat(random.integers(0, 30, (20, 30)), 8, 0), 8, 1)
    content = encode_flat(palette[label], label == 4)
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded[..., 3], np.where(label == 4, 0, 255))
    shown = label != 4
    np.testing.assert_array_equal(decoded[..., 2::-1][shown], palette[label][shown])
    assert len(content) < len(encode(palette[label]))
    noise = random.integers(0, 256, (40, 50, 3), dtype=np.uint8)  # too many for a palette
    decoded = cv2.imdecode(np.frombuffer(encode_flat(noise), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decoded[..., ::-1], noise)


def test_a_picture_is_embedded_whole():
    assert Picture(b'<svg/>', 'svg+xml', 'x').source == 'data:image/svg+xml;base64,PHN2Zy8+'
