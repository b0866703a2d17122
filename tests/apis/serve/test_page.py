"""The page in a real browser: drop, look, point, toggle, download, by mouse and by keyboard."""

import base64
import io
import re
import time
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from support.serving import ask, running, spread_classes

from mmseg_ext.apis.serve.limits import Limits
from mmseg_ext.apis.serve.page import make_assets
from mmseg_ext.apis.serve.samples import Sample, Samples
from mmseg_ext.apis.use import Predictor

HOSTILE = '<img src=x onerror="document.title=\'owned\'">'
PALETTE = [[250, 10, 20], [10, 200, 30], [40, 50, 240]]


@pytest.fixture(scope='module')
def image(tiny_data):
    return tiny_data / 'img' / '3.png'


@pytest.fixture(scope='module')
def server(tiny_config, random_weights, tmp_path_factory, image):
    weights = random_weights(tiny_config, tmp_path_factory.mktemp('weights') / 'a.pth')
    spread_classes(tiny_config, weights, image)
    predictor = Predictor(tiny_config, weights, device='cpu')
    classes = ('background', HOSTILE, 'road')
    predictor.model.dataset_meta = dict(classes=classes, palette=PALETTE)
    with running(predictor, HOSTILE, megapixels=0.01) as found:
        found.predictor = predictor
        yield found


def test_names_are_text_in_valid_markup():
    samples = Samples('<b>', [Sample(HOSTILE, b'1', b'2')])
    meta = dict(classes=(HOSTILE, 'a'), palette=PALETTE)
    assets = make_assets(HOSTILE, meta, Limits(), samples)
    tree = ElementTree.fromstring(assets['/'].content.replace(b'<!DOCTYPE html>', b''))
    text = ''.join(tree.itertext())
    assert text.count(HOSTILE) >= 3 and not tree.findall('.//*[@onerror]')
    assert tree.find('.//button[@class="sample"]').get('data-name') == HOSTILE
    assert not tree.findall('.//*[@style]') and len([*tree.iter('script')]) == 1
    assert set(assets) == {'/', '/page.css', '/page.js', '/samples/0', '/samples/0.jpg'}
    assert b'.c1 { background: rgb(10,200,30) }' in assets['/page.css'].content


OVERLAY = """(() => { const c = document.getElementById('overlay');
return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data] })()"""


def _overlay(page, shape) -> np.ndarray:
    return np.array(page.ask(OVERLAY)).reshape(*shape, 4)


def _expected(label, shown) -> np.ndarray:
    """Color and opacity of each pixel where some classes are shown."""
    found = np.zeros((*label.shape, 4), int)
    for index in shown:
        found[label == index] = [*PALETTE[index], 255]
    return found


def test_drop_look_toggle_point_and_download(server, image, browser_page, tmp_path):
    page, expected = browser_page, server.predictor(image, keep_prob=True)
    assert len(np.unique(expected.label)) == 3
    page.errors.clear()
    page.open(server.url)
    page.drop('#drop', image)
    page.wait('!document.getElementById("result").hidden')
    # what is painted: all but the background, and what boxes ask for
    shape = expected.label.shape
    np.testing.assert_array_equal(_overlay(page, shape), _expected(expected.label, [1, 2]))
    page.click('[data-class="2"]')
    np.testing.assert_array_equal(_overlay(page, shape), _expected(expected.label, [1]))
    page.ask('document.querySelector(\'[data-class="0"]\').focus()')
    page.press(' ', code=32)
    np.testing.assert_array_equal(_overlay(page, shape), _expected(expected.label, [0, 1]))
    page.click('#all')
    np.testing.assert_array_equal(_overlay(page, shape), _expected(expected.label, [0, 1, 2]))
    # the slider, by keyboard
    page.ask('document.getElementById("opacity").focus()')
    page.press('ArrowRight', code=39)
    assert page.ask('getComputedStyle(document.getElementById("overlay")).opacity') == '0.56'
    # the class and confidence of every pixel that is pointed at
    box = page.ask(
        '(() => { document.getElementById("stage").scrollIntoView();'
        'const b = document.getElementById("stage").getBoundingClientRect();'
        'return [b.x, b.y, b.width, b.height] })()'
    )
    names = server.predictor.model.dataset_meta['classes']
    for row, column in ((0, 0), (7, 31), (20, 11), (39, 38)):
        where = [(column + 0.5) * box[2] / shape[1], (row + 0.5) * box[3] / shape[0]]
        page.mouse('mouseMoved', box[0] + where[0], box[1] + where[1])
        label = expected.label[row, column]
        percent = 100 * float(expected.prob[label, row, column])
        told = f'{names[label]}, confidence {percent:.1f} % (column {column}, row {row})'
        assert page.ask('document.getElementById("readout").textContent') == told
    confidence = page.ask('[...shown.confidence].map(half)')  # every value, not only its rounding
    at = np.take_along_axis(expected.prob, expected.label[None].astype(int), 0)[0]
    np.testing.assert_array_equal(np.array(confidence).reshape(shape), at.astype(float))
    # the file, bytes and all
    page.call('Page.setDownloadBehavior', behavior='allow', downloadPath=str(tmp_path))
    page.click('#download')
    file, end = tmp_path / '3_mask.png', time.monotonic() + 30
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.02)
    mask = base64.b64decode(ask(server, '/predict', image.read_bytes()).json['mask']['base64'])
    assert file.read_bytes() == mask
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(mask))), expected.label)
    assert page.errors == [] and page.ask('document.title') == HOSTILE


@pytest.mark.parametrize('dark', [False, True])
def test_a_telephone_and_a_keyboard_are_enough(server, browser_page, dark):
    page = browser_page
    page.errors.clear()
    page.open(server.url, width=360, height=700, dark=dark)
    page.ask('document.querySelector(".sample").focus()')
    page.press('Enter', code=13, text='\r')
    page.wait('!document.getElementById("result").hidden')
    page.ask('document.getElementById("stage").focus()')
    for key, shift in (('ArrowLeft', True), ('ArrowLeft', False), ('ArrowDown', False)):
        page.press(key, shift=shift)
    told = page.ask('document.getElementById("readout").textContent')
    assert re.search(r'confidence [\d.]+ % \(column 9, row 21\)$', told)  # from 20, 20
    assert page.ask('document.documentElement.scrollWidth') <= 360
    ends = '[...document.querySelectorAll("main *")].map(e => e.getBoundingClientRect().right)'
    assert 0 < page.ask(f'Math.max(...{ends})') <= 360
    colors = page.ask('["color", "backgroundColor"].map(k => getComputedStyle(document.body)[k])')
    ink, paper = (sum(map(int, re.findall(r'\d+', color))) for color in colors)
    assert ink - paper > 450 if dark else paper - ink > 450
    assert page.errors == []
    focusable = page.ask('[...document.querySelectorAll("input, button, a, #stage")].length')
    assert focusable == 1 + 6 + 1 + 1 + 2 + 3 + 1 + 1


def test_what_goes_wrong_is_said_on_the_page(server, browser_page, tmp_path):
    page = browser_page
    page.open(server.url)
    bad, large = tmp_path / f'{HOSTILE[:4]}.png', tmp_path / 'large.png'
    bad.write_bytes(b'no picture')
    Image.new('RGB', (101, 100)).save(large)
    for path, text in ((bad, 'the body is no image'), (large, '101x100 pixels, at most 10000')):
        page.drop('#drop', path)
        said = page.wait('document.getElementById("status").matches(".bad") && '
                         'document.getElementById("status").textContent')  # fmt: skip
        assert said.startswith(f'{path.name}: ') and text in said
        page.ask('tell("")')
    assert page.ask('document.getElementById("result").hidden')
