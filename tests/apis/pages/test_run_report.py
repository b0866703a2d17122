"""The report: its numbers, its curves, its markup, and how a browser takes it."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from mmseg_ext.apis.draw.curves import STYLE, read_curves, save_figure
from mmseg_ext.apis.draw.figures import draw_row_curves
from mmseg_ext.apis.draw.pixels import read_rgb
from mmseg_ext.apis.pages import run_sections
from mmseg_ext.apis.pages.examples import SharedExample, shared_examples
from mmseg_ext.apis.pages.facts import CONSTANT
from mmseg_ext.apis.pages.gather import RowData
from mmseg_ext.apis.pages.report import write_report
from mmseg_ext.apis.pages.runs import read_run
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.apis.run.outcome.results import RunResults
from mmseg_ext.evaluation.confusion import confusion_matrix, metrics_from_confusion

CLASSES = ['sky', 'tree & <bush>', 'road']
CONFUSION = [[50, 30, 20], [10, 30, 0], [0, 0, 0]]


def _results() -> dict:
    scores = metrics_from_confusion(np.array(CONFUSION))
    per_class = {
        name: {k: None if v != v else float(v) for k, v in zip(CLASSES, scores[name])}
        for name in ('IoU', 'Acc')
    }
    return dict(
        config='tiny',
        dataset=dict(name='TinyDataset', split='val', num_images=2),
        init='random',
        seed=7,
        iterations=60,
        commit='abc1234',
        dirty=True,
        hardware='a fast CPU',
        torch='2.13.0',
        date='2026-09-01',
        checkpoint='iter_60.pth',
        metrics=dict(
            mIoU=dict(value=0.4567, low=0.4012, high=0.5098),
            aAcc=dict(value=scores['aAcc'], low=None, high=None),
        ),
        per_class=per_class,
        per_class_intervals=dict(IoU={'sky': [0.4, 0.5], 'tree & <bush>': [None, None]}),
        absent_classes=['road'],
        confusion=CONFUSION,
        intervals=dict(
            method='of today', level=0.95, unit='patient', units=4, class_units=dict(sky=4, road=1)
        ),
    )


def _scalars(folder: Path, records: list) -> None:
    (folder / 'vis_data').mkdir(parents=True)
    lines = '\n'.join(json.dumps(record) for record in records)
    (folder / 'vis_data' / 'scalars.json').write_text(lines)


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory: pytest.TempPathFactory, tiny_config: Path, tiny_data: Path) -> Path:
    """A work folder as training, testing and predicting leave it, without running them."""
    folder = tmp_path_factory.mktemp('runs') / 'tiny'
    train = [dict(iter=s, step=s, loss=100 / s, lr=0.01, time=0.5) for s in range(10, 61, 10)]
    _scalars(folder / '20260901_1', train + [dict(step=60, mIoU=45.67)])
    (folder / 'tiny.py').write_text(tiny_config.read_text())
    (folder / 'results.json').write_text(json.dumps(_results()))
    entries = []
    for index in range(2):
        mask = cv2.imread(str(tiny_data / 'mask' / f'{index}.png'), cv2.IMREAD_UNCHANGED)
        path = folder / 'predictions' / 'masks' / f'{index}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.where(mask == 255, 0, mask).astype(np.uint8))
        image = str((tiny_data / 'img' / f'{index}.png').absolute())
        entries.append(dict(image=image, mask=f'masks/{index}.png'))
    listing = dict(classes=CLASSES, palette=[[0, 0, 255], [0, 255, 0], [9, 9, 9]], images=entries)
    (folder / 'predictions' / 'predictions.json').write_text(json.dumps(listing))
    return folder


@pytest.fixture(scope='module')
def html(work_dir: Path) -> Path:
    return write_report(work_dir, work_dir / 'report.html')


@pytest.fixture(scope='module')
def tree(html: Path) -> ElementTree.Element:
    """Parsed strictly: an unclosed tag or a bare ampersand fails here."""
    return ElementTree.fromstring(html.read_text(encoding='utf-8'))


def _texts(tree: ElementTree.Element, path: str) -> list:
    return [''.join(element.itertext()).replace('\u00a0', ' ') for element in tree.iterfind(path)]


def test_the_page_is_well_formed_and_says_what_it_is(html, tree) -> None:
    assert html.read_text(encoding='utf-8').startswith('<!DOCTYPE html>')
    assert tree.get('lang') == 'en'
    assert tree.findtext('head/title') == 'tiny'
    assert 'width=device-width' in tree.find("head/meta[@name='viewport']").get('content')
    assert [name.tag for name in tree.find('body')] == [
        'header',
        'main',
        'footer',
        'dialog',
        'script',
    ]


def test_nothing_is_fetched(html, tree) -> None:
    text = html.read_text(encoding='utf-8')
    assert not re.search(r'https?:|@import|url\(|<script[^>]', text) and text.count('<script') == 1
    sources = [image.get('src') for image in tree.iter('img')]
    assert len(sources) == 2 + 2 * 4  # curves, and two images with truth, prediction and errors
    assert all(source.startswith('data:image/') for source in sources)
    assert all(image.get('alt') for image in tree.iter('img'))


def test_the_numbers_are_those_of_the_results(tree) -> None:
    first, constant = _texts(tree, ".//ul[@class='cards']/li")
    assert '45.7 %' in first and '95 % interval 40.1 to 51.0 %, 4 patients' in first
    over = next(words for words in _texts(tree, './/p') if 'intervals over' in words)
    assert over.startswith('95 % intervals over 4 patients. Only 4 patients: below 20')
    assert any('95 % interval (of today)' in words for words in _texts(tree, './/p'))
    # 100 of 140 pixels are sky; two classes occur: 100 / 140 / 2
    assert constant == f'{CONSTANT}35.7 %the model has 1.3 times as much'
    rows = [_texts(row, '*') for row in tree.iterfind(".//div[@class='scroll']/table/tbody/tr")]
    assert ['mean IoU (mIoU)', '45.7', '40.1 to 51.0'] in rows
    assert ['pixels right (aAcc)', '57.1', '–'] in rows


def test_the_facts_are_those_of_the_results(tree) -> None:
    facts = dict(zip(_texts(tree, './/dl/dt'), _texts(tree, './/dl/dd')))
    assert facts['seed'] == '7' and facts['iterations'] == '60'
    assert facts['tested on'] == 'val, 2 images' and facts['data set'] == 'TinyDataset'
    assert facts['commit'] == 'abc1234 with local changes'
    assert facts['training time'] == '0.50 s an iteration, 0.5 min in all'


def test_class_bars_are_sorted_and_as_long_as_the_iou(tree) -> None:
    groups = tree.findall(".//div[@class='bars single']/div")
    # sky 50 / 110, tree 30 / 70, road: predicted but absent, 0 / 20
    assert [_texts(group, 'h3') for group in groups] == [['sky'], ['tree & <bush>'], ['road']]
    assert [_texts(group, './/span[@class="num"]') for group in groups] == [
        ['45.5'],
        ['42.9'],
        ['0.0'],
    ]
    assert [_texts(group, './/span[@class="ends"]') for group in groups] == [
        ['40.0 to 50.0'],
        [''],
        [''],
    ]
    widths = [group.find('.//span[@class="fill"]').get('style').split(';')[0] for group in groups]
    assert widths == ['width:45.5%', 'width:42.9%', 'width:0.0%']


def test_confusion_is_normalised_by_row(tree) -> None:
    rows = [_texts(row, '*') for row in tree.iterfind(".//table[@class='matrix']/tbody/tr")]
    assert rows == [
        ['sky', '50', '30', '20'],
        ['tree & <bush>', '25', '75', '·'],
        ['road', '', '', ''],
    ]


def test_examples_show_truth_and_only_the_classes_that_occur(work_dir, tiny_data, tree) -> None:
    run = RowData('r', 'r', replicas=[[read_run(work_dir)]])
    examples, _ = shared_examples([run])
    assert [example.name for example in examples] == ['0', '1']
    for index, example in enumerate(examples):
        mask = cv2.imread(str(tiny_data / 'mask' / f'{index}.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(example.truth, mask)
    shown = tree.findall(".//figure/div[@class='compare']")
    assert [_texts(one, './/p')[1] for one in shown] == ['prediction: 100.0 % right'] * 2
    example = SharedExample(
        'x', np.zeros((1, 3, 3), np.uint8), np.array([[0, 1, 255]]), {0: np.array([[0, 0, 2]])}
    )
    rows = [RowData('r', 'r')]
    shown = run_sections.show_example(example, rows, ['a', 'b', 'c', 'd'], [[0] * 3] * 4, None, 9)
    assert [swatch.name for swatch in shown.legend] == ['a', 'b', 'c']
    assert shown.pairs[1].title == 'prediction: 50.0\u00a0% right'


def test_curves_of_two_optimisers() -> None:
    """The segmentor's rate takes the place of a single one; the discriminator has its own."""
    line = {1: 0.1, 2: 0.05}
    names = ('loss', 'segmentor.lr', 'discriminator.lr', 'discriminator.loss')
    runs = [
        SimpleNamespace(curves=dict.fromkeys(names, line)),
        SimpleNamespace(curves=dict(lr=line)),
    ]
    rows = [SimpleNamespace(label=str(place), runs=[run]) for place, run in enumerate(runs)]
    found = run_sections._curves(rows, 'lr')
    assert found == {0: [line], 1: [line]}
    (figures,) = run_sections.training(rows, None).blocks
    captions = [caption for _, caption in figures.figures]
    assert captions == [
        'Training loss', 'Learning rate', "Discriminator's training loss",
        "Discriminator's learning rate",
    ]  # fmt: skip


def test_report_without_predictions_and_curves(work_dir, tmp_path) -> None:
    (tmp_path / 'bare').mkdir()
    shutil.copy(work_dir / 'results.json', tmp_path / 'bare')
    page = write_report(tmp_path / 'bare', tmp_path / 'page.html').read_text()
    assert '45.7' in page and '<img' not in page


def test_untested_run_is_named(tmp_path, python_tool) -> None:
    with pytest.raises(FileNotFoundError, match='results.json does not exist; test the run first'):
        RunFolder(tmp_path).results()
    done = python_tool('tools/report.py', tmp_path, check=False)
    assert done.returncode == 1 and done.stderr.startswith(f'error: {tmp_path}/results.json')
    assert not (tmp_path / 'report.html').exists()
    (tmp_path / 'results.json').write_text('{"metrics": {}}')
    with pytest.raises(ValueError, match='lacks per_class, confusion'):
        RunFolder(tmp_path).results()


def test_constant_miou_equals_the_metric_of_a_constant_prediction() -> None:
    label = np.random.default_rng(0).choice([0, 1, 3, 255], size=(40, 40), p=[0.2, 0.5, 0.2, 0.1])
    expected = max(
        metrics_from_confusion(confusion_matrix(np.full_like(label, k), label, 4))['mIoU']
        for k in (0, 1, 3)
    )
    found = RunResults({}, confusion=confusion_matrix(label * 0, label, 4).tolist())
    assert found.constant_miou() == pytest.approx(expected, abs=1e-9)
    assert RunResults({}, confusion=[[0, 0], [0, 0]]).constant_miou() is None


def test_a_resumed_run_continues_its_curve(tmp_path) -> None:
    """Killed at 30 and resumed from 20: the second file counts from where it begins."""
    first = [dict(iter=s, step=s, loss=float(s)) for s in (10, 20, 30)]
    _scalars(tmp_path / '20260901_1', first + [dict(step=20, mIoU=5.0)])
    _scalars(tmp_path / '20260901_2', [dict(iter=s, step=s, loss=-s) for s in (25, 35)])
    path = tmp_path / '20260901_2' / 'vis_data' / 'scalars.json'
    path.write_text(path.read_text() + '\n{"iter": 45, "lo')  # the kill came while writing
    curves = read_curves(RunFolder(tmp_path).curve_files())
    assert curves['loss'] == {10: 10.0, 20: 20.0, 25: -25.0, 35: -35.0}
    assert curves['val/mIoU'] == {20: 5.0}


def test_a_run_started_afresh_replaces_its_curve(tmp_path) -> None:
    _scalars(tmp_path / '20260901_1', [dict(iter=s, step=s, loss=1.0) for s in (10, 20, 30)])
    _scalars(tmp_path / '20260901_2', [dict(iter=10, step=10, loss=2.0)])
    assert read_curves(RunFolder(tmp_path).curve_files()) == {'loss': {10: 2.0}}
    assert read_curves([]) == {}


def test_drawing_is_repeatable_and_complete_svg() -> None:
    curves = {0: [{1: 2.0, 2: 1.0, 3: 0.5}]}
    drawn = draw_row_curves(curves, ylabel='loss', baseline=1.5)
    assert drawn == draw_row_curves(curves, ylabel='loss', baseline=1.5)
    assert ElementTree.fromstring(drawn).tag.endswith('svg')


def test_chromium_shows_it_without_errors_on_a_wide_screen(html, browser_view) -> None:
    seen = browser_view(html, 1280)
    assert seen.pop('width') <= 1280  # nothing sticks out to the right
    assert seen == dict(broken=0, images=10, errors=[], probed=None)


def test_a_picture_is_turned_as_its_tag_says(tmp_path):
    """Against OpenCV, which reads the images of a training."""
    path, exif = tmp_path / 'a.jpg', Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    stored = np.zeros((8, 24, 3), np.uint8)
    stored[:, :8] = (250, 0, 0)
    Image.fromarray(stored).save(path, quality=100, subsampling=0, exif=exif)
    shown = read_rgb(path)
    assert shown.shape == (24, 8, 3) and shown[0, 0, 0] > 200 > 50 > shown[-1, 0, 0]
    assert np.abs(shown.astype(int) - cv2.imread(str(path))[..., ::-1]).max() <= 2


def test_letters_of_a_figure_are_those_that_are_drawn() -> None:
    """Their names are shortened; bold and plain ones keep apart."""
    with plt.rc_context(STYLE):
        figure = plt.figure()
        figure.text(0.1, 0.1, 'aa')
        figure.text(0.1, 0.5, 'a', weight='bold')
        figure.text(0.1, 0.8, 'a', style='italic')
    text = save_figure(figure).decode()
    plt.close(figure)
    shapes = dict(re.findall(r'<path id="(\w[\w-]*)" d="([^"]+)"', text))
    used = re.findall(r'xlink:href="#([^"]+)"', text)
    assert len(used) == 4 and len(set(used)) == 3 and set(used) == set(shapes)
    assert used[0] == used[1] and len(set(shapes.values())) == 3
    assert sum('DejaVu' in name for name in used) == 0
