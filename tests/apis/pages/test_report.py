"""The report of a table: its numbers against plain restatements, its markup, a real browser.

The work folders are made up, but their files are written by the metrics themselves.
"""

import itertools
import json
import re
import runpy
import shutil
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from support.paths import ROOT
from support.runs import CLASSES, PALETTE, Row, write_run

from mmseg_ext.apis.draw import figures as table_figures
from mmseg_ext.apis.draw.blocks import Page
from mmseg_ext.apis.draw.figures import letter
from mmseg_ext.apis.draw.html import render
from mmseg_ext.apis.draw.pixels import error_picture
from mmseg_ext.apis.pages import class_sections, numbers, run_sections, score_sections
from mmseg_ext.apis.pages.calibration import ensure_calibration
from mmseg_ext.apis.pages.complete import complete_runs
from mmseg_ext.apis.pages.examples import (
    encode_errors,
    ensure_predictions,
    example_images,
    shared_examples,
)
from mmseg_ext.apis.pages.gather import RowData, read_rows
from mmseg_ext.apis.pages.report import write_paper_report, write_report, write_table_report
from mmseg_ext.apis.pages.runs import RunFiles, read_run, replicas_of
from mmseg_ext.apis.pages.worst import worst_images
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.apis.run.network.build import build
from mmseg_ext.apis.run.network.cost import Cost, ensure_cost, input_size, measure_cost
from mmseg_ext.apis.run.outcome.results import RunResults
from mmseg_ext.evaluation.intervals import score_intervals


@pytest.fixture(scope='module')
def rows(tmp_path_factory, tiny_data, tiny_config):
    """Two seeds, two single runs, one on other images, one that was not run."""
    root = tmp_path_factory.mktemp('table')

    def run(name, **settings):
        return write_run(root / name, tiny_data, tiny_config, **settings)

    base = (run('base_0', wrong=0.6), run('base_1', wrong=0.6, seed=1))
    return [
        Row('baseline', 'base', base),
        Row('better & <bigger>', 'better', (run('better', wrong=0.3, seed=2),)),
        Row('same', 'same', (run('same', wrong=0.58, seed=3),)),
        Row('four images', 'four', (run('four', wrong=0.3, seed=4, images=range(4)),)),
        Row('absent', 'absent', ()),
    ]


@pytest.fixture(scope='module')
def html(rows, tmp_path_factory):
    out = tmp_path_factory.mktemp('page') / 'report.html'
    return write_table_report(rows, out, title='Paper table_1', baseline='baseline')


@pytest.fixture(scope='module')
def tree(html):
    """Parsed strictly: an unclosed tag or a bare ampersand fails here."""
    return ElementTree.fromstring(html.read_text(encoding='utf-8'))


@pytest.fixture
def no_drawing(monkeypatch):
    """Spare the seconds that figures take where they are not looked at."""
    found = [
        (module, name)
        for module in (class_sections, run_sections, score_sections)
        for name in dir(module)
        if name.startswith('draw_') and name != 'draw_matrix'
    ]
    assert len(found) == 4
    for module, name in found:
        monkeypatch.setattr(module, name, lambda *_, **__: b'<svg/>')


def _section(tree, title):
    (found,) = [part for part in tree.iter('section') if part.findtext('h2') == title]
    return found


def _texts(element, path):
    found = [' '.join(part.itertext()).split() for part in element.iterfind(path)]
    return [' '.join(words) for words in found]


def _cells(tree, title):
    rows = _section(tree, title).findall('.//tbody/tr')
    assert rows
    return [_texts(row, '*') for row in rows]


# --- plain restatements: images are added up one by one ------------------------------------------


def _confusions(folder):
    with np.load(folder / 'per_image.npz') as file:
        return {str(name): (file['tp'][i], file['pred'][i], file['label'][i])
                for i, name in enumerate(file['names'])}  # fmt: skip


def _miou(images):
    tp, pred, label = (sum(part) for part in zip(*images))
    known = pred + label > 0
    return float(np.mean(tp[known] / (pred + label - tp)[known]))


def _swapped_miou(first, second, swaps):
    """Mean difference over seeds after swapping images, which are added up one by one."""
    differences = []
    for one, two in zip(first, second):
        pairs = [(two[n], one[n]) if swap else (one[n], two[n]) for n, swap in swaps.items()]
        differences.append(_miou([p[0] for p in pairs]) - _miou([p[1] for p in pairs]))
    return np.mean(differences)


def _p(first, second):
    """Share of all swaps that differ at least as much as none."""
    names = sorted(first[0])
    ways = itertools.product([0, 1], repeat=len(names))
    found = [_swapped_miou(first, second, dict(zip(names, way))) for way in ways]
    return np.mean(np.abs(found) >= abs(found[0]) - 1e-12)


def _rows_of(folder):
    with np.load(folder / 'per_image.npz') as file:
        order = np.argsort(file['names'])
        return np.stack([file[name][order] for name in ('tp', 'pred', 'label')], 1)


def test_scores_intervals_differences_and_p_are_those_of_plain_loops(rows):
    data = read_rows(rows, baseline='baseline')
    for row, got in zip(rows[:3], data):
        values = [_miou(_confusions(folder).values()) for folder in row.runs]
        assert got.metrics['mIoU'] == pytest.approx(np.mean(values), abs=1e-12)
        expected = score_intervals(*map(_rows_of, row.runs))
        assert got.intervals['mIoU'] == pytest.approx(expected.means['mIoU'], abs=1e-12)
        assert got.class_iou['road'][1:] == pytest.approx(expected.classes['IoU'][2], abs=1e-12)
        assert (got.units['unit'], got.units['units']) == ('image', 6) and not got.old_method
    base, better, same = data[:3]
    values = [_miou(_confusions(folder).values()) for folder in rows[0].runs]
    assert base.sds['mIoU'] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert base.difference is None and 'mIoU' not in better.sds
    seeds = [_confusions(folder) for folder in rows[0].runs]
    ps = []
    for got, row in ((better, rows[1]), (same, rows[2])):
        ps.append(_p([_confusions(row.runs[0])] * 2, seeds))
        difference = got.metrics['mIoU'] - base.metrics['mIoU']
        assert got.difference.value == pytest.approx(difference)
        assert got.difference.low < difference < got.difference.high
        assert got.difference.p == pytest.approx(ps[-1], abs=1e-12)
    assert ps[0] == 2 / 64 and ps[1] > 0.1  # sure, and not
    assert better.p_holm == pytest.approx(2 * ps[0]) and same.p_holm == pytest.approx(ps[1])
    assert data[3].unpaired == 'tested on other images than the baseline'
    assert data[4].note == 'not run' and data[4].p_holm is None


def test_groups_are_units(tmp_path, tiny_data, tiny_config, no_drawing):
    settings = dict(wrong=0.5, grouped=True)
    folder = write_run(tmp_path / 'run', tiny_data, tiny_config, **settings)
    (row,) = read_rows([Row('a', 'a', (folder,))])
    expected = score_intervals(_rows_of(folder), groups=[*'aabbcc']).means['mIoU']
    assert row.intervals['mIoU'] == pytest.approx(expected, abs=1e-12)
    assert row.units['units'] == 3
    table = [Row(label, label, (folder,)) for label in 'ab']
    page = write_table_report(table, tmp_path / 'page.html', title='x').read_text()
    assert '95 % intervals over 3 patients. Only 3 patients: below 20' in page
    tree = ElementTree.fromstring(page)
    compared = _cells(tree, 'Against the baseline')
    assert compared[0][1] == (
        'not enough to tell: 3 patients (20 needed), 1 run against 1 (2 of each needed)'
    )


def test_old_results_get_their_intervals_from_the_counts(rows, tmp_path, no_drawing):
    """A percentile bootstrap's interval is replaced where the counts are kept, else marked."""
    old = json.loads((rows[1].runs[0] / 'results.json').read_text())
    expected = old['metrics']['mIoU']
    del old['intervals'], old['per_class_intervals']
    old['metrics']['mIoU'] = dict(expected, low=0.25, high=0.75)
    for name in ('kept', 'gone'):
        shutil.copytree(rows[1].runs[0], tmp_path / name)
        (tmp_path / name / 'results.json').write_text(json.dumps(old))
    (tmp_path / 'gone' / 'per_image.npz').unlink()
    read = RunFolder(tmp_path / 'kept').results()
    assert read.metrics['mIoU']._asdict() == pytest.approx(expected)
    assert read.intervals['units'] == 6
    assert RunFolder(tmp_path / 'gone').results() == RunResults.from_content(old)
    folders = [tmp_path / 'kept', tmp_path / 'gone']
    table = [Row(folder.name, folder.name, (folder,)) for folder in folders]
    page = write_table_report(table, tmp_path / 'page.html', title='x')
    shown = _cells(ElementTree.fromstring(page.read_text()), 'Scores')
    ends = [f'{100 * expected[key]:.1f}' for key in ('low', 'high')]
    assert shown[0][1].endswith(' to '.join(ends)) and shown[1][1].endswith('25.0 to 75.0 †')
    assert '† percentile bootstrap, as an older test wrote it' in page.read_text()
    for name, shown in (('kept', ends), ('gone', ['25.0', '75.0'])):
        page = write_report(tmp_path / name, tmp_path / 'single.html').read_text()
        dagger = '\u00a0†' if name == 'gone' else ''
        assert f'95 % interval {" to ".join(shown)}\u00a0%{dagger}' in page
        assert ('† percentile bootstrap, as an older' in page) == (name == 'gone')
        assert ('%, 6 images' in page) == (name == 'kept')
        assert ('95 % intervals over 6 images. Only 6 images' in page) == (name == 'kept')
    (tmp_path / 'kept' / 'per_image.npz').write_bytes(b'no archive')
    with pytest.raises(ValueError, match=r'kept/per_image\.npz: no counts of images'):
        RunFolder(tmp_path / 'kept').results()


def test_folds_are_added_up_and_seeds_averaged(tmp_path, tiny_data, tiny_config):
    def run(name, **settings):
        return write_run(tmp_path / name, tiny_data, tiny_config, wrong=0.5, **settings)

    whole = [run(f'whole{seed}', seed=seed) for seed in (0, 1)]
    folds = [run(f'seed{seed}_fold{fold}', seed=seed, images=range(3 * fold, 3 * fold + 3))
             for seed in (0, 1) for fold in (0, 1)]  # fmt: skip
    one, two = read_rows([Row('whole', '', tuple(whole)), Row('folds', '', tuple(folds))])
    assert [[run.folder for run in replica] for replica in two.replicas] == [folds[:2], folds[2:]]
    assert two.metrics['mIoU'] == pytest.approx(one.metrics['mIoU'], abs=1e-12)
    assert two.intervals['mIoU'] == pytest.approx(one.intervals['mIoU'], abs=1e-12)
    assert two.sds['mIoU'] == pytest.approx(one.sds['mIoU'], abs=1e-12)
    assert two.ece == pytest.approx(one.ece, abs=1e-12) and one.ece > 0
    assert two.ece_interval == pytest.approx(one.ece_interval, abs=1e-12)
    assert two.difference.value == pytest.approx(0, abs=1e-15) and two.difference.p == 1
    replicas, note = replicas_of([read_run(folder) for folder in folds[:3]], 'folds')
    assert len(replicas) == 1 and note.startswith('1 runs left out')
    with pytest.raises(ValueError, match='folds: its runs share some test images'):
        replicas_of([read_run(folder) for folder in (whole[0], folds[0])], 'folds')


def test_seeds_that_were_tested_on_other_masks_have_no_mean():
    def one(folder, *labels):
        rows = np.zeros((2, 3, 2), int)  # two images, of which only the labels count here
        rows[:, 2] = labels
        return SimpleNamespace(
            counts=SimpleNamespace(names=np.array(['a', 'b']), rows=rows), folder=folder
        )

    first, second = one('seed0', (3, 4), (5, 2)), one('seed1', (3, 4), (5, 2))
    assert replicas_of([first, second], 'row') == ([[first], [second]], '')
    corrected = one('seed2', (3, 4), (4, 3))
    with pytest.raises(ValueError, match='row: .* different masks of the same images.*seed2'):
        replicas_of([first, second, corrected], 'row')


def test_calibration_is_that_of_the_results(rows, tree):
    data = read_rows(rows)
    for row, got in zip(rows[:4], data):
        errors = []
        for folder in row.runs:
            bins = json.loads((folder / 'results.json').read_text())['calibration']['bins']
            gaps = [abs(r - c) for r, c in zip(bins['right'], bins['confidence'])]
            errors.append(sum(gaps) / sum(bins['count']))
        assert got.ece == pytest.approx(np.mean(errors), abs=1e-12)
        low, high = got.ece_interval
        assert low < got.ece < high
    shown = _cells(tree, 'Calibration')
    assert [cells[0] for cells in shown][:2] == ['A baseline', 'B better & <bigger>']
    assert shown[0][1].startswith(f'{100 * data[0].ece:.2f} {100 * data[0].ece_interval[0]:.2f} to')


# --- the page ------------------------------------------------------------------------------------


def test_the_page_prints_these_numbers(rows, tree):
    data = read_rows(rows, baseline='baseline')
    shown = _cells(tree, 'Scores')
    assert [cells[0] for cells in shown] == [
        'A baseline', 'B better & <bigger>', 'C same', 'D four images', 'E absent not run',
    ]  # fmt: skip
    low, high = (100 * end for end in data[0].intervals['mIoU'])
    value, sd = 100 * data[0].metrics['mIoU'], 100 * data[0].sds['mIoU']
    assert shown[0][1] == f'{value:.1f} {low:.1f} to {high:.1f} ± {sd:.1f} (n = 2)'
    assert shown[4][1:] == ['–'] * (len(shown[4]) - 1)
    compared = _cells(tree, 'Against the baseline')
    found = data[1].difference
    assert compared[0] == [
        'B better & <bigger>',
        'not enough to tell: 6 images (20 needed), 1 run against 2 (2 of each needed)',
        f'{100 * found.value:+.2f}',
        f'{100 * found.low:+.2f} to {100 * found.high:+.2f}',
        '0.031',
        '0.062',
    ]
    assert compared[2][1] == 'tested on other images than the baseline'
    iou = {name: f'{100 * score[0]:.1f}' for name, score in data[1].class_iou.items()}
    cards = _section(tree, 'IoU of each class').findall(".//div[@class='group']")
    assert [card.findtext('h3').strip() or card.find('h3')[0].tail for card in cards] == [*CLASSES]
    for card, name in zip(cards, CLASSES):
        second = card.findall("div[@class='line']")[1]
        assert second.findtext("span[@class='num']") == iou[name]
        assert f'width:{iou[name]}%' in second.find('.//span[@class="fill"]').get('style')
    costs = _cells(tree, 'Accuracy against cost')
    assert costs[0][1:5] == ['1,600,000', '0.002', '12.5 12 to 19', '32×48']
    matrices = _section(tree, 'Confusion matrices').findall('details')
    assert [part.get('open') for part in matrices] == ['open', None, None, None]
    assert len(_cells(tree, 'The runs')) == 6


class _Checker(HTMLParser):
    """Balanced tags, unique ids, pictures with words, nothing from elsewhere."""

    VOID = ('meta', 'link', 'img', 'br', 'wbr', 'hr', 'input')

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.images, self.problems = [], [], 0, []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids += [values['id']] if 'id' in values else []
        for name in ('src', 'href'):
            if not values.get(name, 'data:').startswith('data:'):
                self.problems.append(f'{name}={values[name]}')
        if tag == 'img':
            self.images += 1
            if not values.get('alt'):
                self.problems.append(f'no alt at {self.getpos()}')
        if tag == 'iframe' or (tag == 'script' and attrs):
            self.problems.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:  # a browser does not close it there
            self.problems.append(f'<{tag}/>')

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f'</{tag}> at {self.getpos()}')


def test_the_markup_is_valid_and_self_contained(html):
    text = html.read_text(encoding='utf-8')
    checker = _Checker()
    checker.feed(text)
    assert checker.problems == [] and checker.open == []
    assert len(set(checker.ids)) == len(checker.ids)
    assert not re.search(r'https?:|@import|url\(', text)
    # 2 intervals, 2 costs, reliability, 3 curves; 4 shared images with truth and 4 rows twice
    assert checker.images == 2 + 2 + 1 + 3 + 4 * (2 + 2 * 4)
    assert len(text) < 2e6
    assert text.startswith('<!DOCTYPE html>') and '<title>Paper table_1</title>' in text


def test_the_same_images_run_through_every_row(rows, tree, tiny_data):
    data = read_rows(rows)
    examples, palette = shared_examples(data)
    assert [example.name for example in examples] == ['0', '1', '2', '3'] and palette == PALETTE
    for example in examples:
        mask = cv2.imread(str(tiny_data / 'mask' / f'{example.name}.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(example.truth, mask)
        assert sorted(example.labels) == [0, 1, 2, 3]
    section = _section(tree, '4 test images through every row')
    assert 'No predictions of E.' in ' '.join(_texts(section, 'p'))
    right = np.mean((examples[0].labels[1] == examples[0].truth)[examples[0].truth != 255])
    what = _texts(section.find('.//figure'), ".//p[@class='what']")
    assert what[2] == f'B better & <bigger>: {100 * right:.1f} % right'
    assert len(section.findall('.//figure')) == 4


def test_errors_stay_red_in_the_small_picture():
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    truth, label = np.zeros((8, 9), np.uint8), np.zeros((8, 9), np.uint8)
    label[2:4] = 1
    truth[6] = 255
    shown = error_picture(image, label, truth)
    decoded = cv2.imdecode(np.frombuffer(encode_errors(shown), np.uint8), cv2.IMREAD_COLOR)
    decoded = decoded[..., ::-1]
    red = (decoded == (214, 39, 40)).all(-1)
    np.testing.assert_array_equal(red, (label != truth) & (truth != 255))
    assert np.abs(decoded[~red].astype(int) - shown[~red]).max() <= 4


def test_chromium_shows_it_without_errors_on_a_wide_screen(html, browser_view):
    seen = browser_view(html, 1280)
    assert seen.pop('width') <= 1280  # nothing sticks out to the right
    assert seen == dict(broken=0, images=48, errors=[], probed=None)


def test_bare_results_are_enough(rows, tmp_path, no_drawing):
    (tmp_path / 'bare').mkdir()
    results = json.loads((rows[1].runs[0] / 'results.json').read_text())
    results.pop('calibration'), results.pop('intervals')
    results['metrics']['mIoU'].update(low=0.25, high=0.75)
    (tmp_path / 'bare' / 'results.json').write_text(json.dumps(results))
    table = [rows[0], Row('bare', 'b', (tmp_path / 'bare',))]
    page = write_table_report(table, tmp_path / 'page.html', title='x')
    tree = ElementTree.fromstring(page.read_text(encoding='utf-8'))
    assert '25.0 to 75.0' in _cells(tree, 'Scores')[1][1]
    assert _cells(tree, 'Against the baseline')[0][1] == 'no counts of each image of bare'


@pytest.mark.parametrize('count', [1, 2, 3])
def test_few_images_make_no_verdict(tmp_path, tiny_data, tiny_config, no_drawing, count):
    settings = dict(images=range(count))
    folders = [
        write_run(tmp_path / name, tiny_data, tiny_config, wrong=wrong, **settings)
        for name, wrong in (('poor', 0.9), ('good', 0.1))
    ]
    rows = [Row(folder.name, folder.name, (folder,)) for folder in folders]
    page = write_table_report(rows, tmp_path / 'page.html', title='x').read_text()
    tree = ElementTree.fromstring(page)
    (compared,) = _cells(tree, 'Against the baseline')
    many = f'{count} image' + ('s' if count > 1 else '')
    assert compared[1].startswith(f'not enough to tell: {many} (20 needed), ')
    assert compared[4:6] == (['0.25', '0.25'] if count == 3 else ['–', '–'])
    assert (' to ' in compared[3]) == (' to ' in _cells(tree, 'Scores')[0][1]) == (count == 3)
    assert ('No intervals: ' + many in page) == (count < 3)


def test_bad_input_is_named_and_nothing_written(rows, tmp_path, tiny_data, tiny_config):
    out = tmp_path / 'page.html'
    with pytest.raises(ValueError, match="no row of 'x' was run"):
        write_table_report(rows[4:], out, title='x')
    with pytest.raises(ValueError, match="no row 'base' to compare with; there are: baseline, b"):
        write_table_report(rows, out, title='x', baseline='base')
    with pytest.raises(FileNotFoundError, match='none/results.json does not exist; test the run'):
        write_table_report([Row('a', 'a', (tmp_path / 'none',))], out, title='x')
    folder = write_run(tmp_path / 'mixed', tiny_data, tiny_config, wrong=0.1)
    (folder / 'results.json').write_text((rows[0].runs[0] / 'results.json').read_text())
    with pytest.raises(ValueError, match='per_image.npz and results.json are of different tests'):
        write_table_report([Row('a', 'a', (folder,))], out, title='x')
    assert not out.exists()


def test_a_papers_table_is_reported(rows, tmp_path, no_drawing):
    @dataclass
    class Table:
        rows: list
        paper: str = 'fmsi'
        table: str = '3'
        caption: str = 'parts of the head'
        baseline: str = 'absent'
        metrics: tuple = ('mPA',)
        dataset: str = 'mine'

    page = write_paper_report(Table(rows), tmp_path / 'page.html')
    tree = ElementTree.fromstring(page.read_text(encoding='utf-8'))
    assert tree.findtext('head/title') == 'fmsi table 3 on mine'
    assert 'Rows of: parts of the head' in _texts(tree, './/p')
    assert _texts(_section(tree, 'Scores'), './/thead/tr/th')[1:3] == ['mPA, %', 'mIoU, %']
    assert 'The baseline was not run' in ''.join(_section(tree, 'Against the baseline').itertext())


@pytest.mark.parametrize(
    'value, text', [(1943.2, '1,940'), (0.48461, '0.485'), (290.0, '290'), (123456, '123,000')]
)
def test_costs_are_written_without_exponents(value, text):
    assert numbers.three_digits(value) == text


@pytest.mark.parametrize('costs', [(290, 6220), (1.4, 31), (0.8, 24000)])
def test_numbers_of_a_logarithmic_axis_do_not_touch(costs, monkeypatch):
    drawn = []
    monkeypatch.setattr(table_figures, 'save_figure', lambda figure: drawn.append(figure) or b'')
    points = [(row, cost, 50.0, None, None) for row, cost in enumerate(costs)]
    table_figures.draw_tradeoff(points, xlabel='latency in ms', ylabel='mIoU in %')
    (axes,) = drawn[0].axes
    drawn[0].canvas.draw()
    low, high = axes.get_xlim()
    shown = [x for x in axes.get_xticklabels() if low <= x.get_position()[0] <= high]
    assert len(shown) >= 3 and not any('$' in label.get_text() for label in shown)
    boxes = [label.get_window_extent() for label in shown]
    assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:]))
    assert not any(label.get_text() for label in axes.get_xticklabels(minor=True))


def test_cost_of_a_network(tiny_config, tmp_path, rows):
    cfg = Config.fromfile(tiny_config)
    assert input_size(cfg) == (32, 32)
    cost = measure_cost(cfg, size=(16, 24), repeats=3)
    network = build(cfg)
    assert cost.parameters == sum(p.numel() for p in network.parameters())
    # the first convolution of the stem alone: 4 maps of 8x12 from 3 channels, 3x3
    assert cost.flops > 2 * 4 * 8 * 12 * 27 and cost.size == [16, 24]
    assert 0 < cost.latency_lowest_ms <= cost.latency_ms <= cost.latency_highest_ms
    with pytest.raises(ValueError, match='repeats must be at least 1'):
        measure_cost(cfg, repeats=0)
    kept = Cost(**json.loads(RunFolder(rows[0].runs[0]).cost_file.read_text()))
    assert ensure_cost(rows[0].runs[0]) == kept  # measured once
    RunFolder(tmp_path).cost_file.write_text('{"parameters": 1}')
    with pytest.raises(ValueError, match=r'cost\.json is damaged.*remove it'):
        ensure_cost(tmp_path)


def test_the_tool_compares_folders(rows, tmp_path, monkeypatch, no_drawing):
    arguments = [
        'report.py',
        *map(str, rows[0].runs),
        '--out',
        str(tmp_path / 'p.html'),
    ]
    monkeypatch.setattr('sys.argv', arguments)
    runpy.run_path(str(ROOT / 'tools' / 'report.py'))['main']()
    tree = ElementTree.fromstring((tmp_path / 'p.html').read_text(encoding='utf-8'))
    assert tree.findtext('head/title') == '2 runs'
    names = [cells[0].replace('_ ', '_') for cells in _cells(tree, 'Scores')]
    assert names == ['A base_0', 'B base_1']


def test_a_row_that_cannot_be_completed_does_not_stop_the_others(rows, tmp_path):
    """Predictions are there, so no checkpoint is needed; the second row was never tested."""
    broken = Row('broken', 'b', (tmp_path,))
    failures = complete_runs([broken, rows[0]], num_images=6)
    assert len(failures) == 1 and failures[0].startswith('broken: ')


def test_the_matrix_of_many_classes_is_a_picture(no_drawing):
    matrix = np.diag(np.full(50, 90))
    matrix[3, 7] = 10  # 10 of the 100 pixels of its row
    results = RunResults({}, per_class=dict(IoU={f'class {i}': 0.5 for i in range(50)}))
    run = RunFiles(folder=None, results=results, counts=None)
    row = RowData('many', 'many', replicas=[[run]], confusion=matrix)
    shown = class_sections.confusions([row], row)
    page = ElementTree.fromstring(render(Page('many', '', [shown], '')))
    assert len(page.findall('.//img')) == 1 and not page.findall('.//table')
    assert _texts(page, './/section/ul/li') == [
        'class 3 taken for class 7: 10.0 % of class 3, 0.22 % of all pixels'
    ]


def test_absent_predictions_and_costs_are_made_once(tmp_path, tiny_data, tiny_config):
    folder = write_run(tmp_path / 'run', tiny_data, tiny_config, wrong=0.1)
    shutil.rmtree(folder / 'predictions')
    RunFolder(folder).cost_file.unlink()
    results = json.loads((folder / 'results.json').read_text())
    del results['calibration']
    (folder / 'results.json').write_text(json.dumps(dict(results, checkpoint='start.pth')))
    row = Row('a', 'a', (folder,))
    (failure,) = complete_runs([row], num_images=2)
    assert failure.startswith('a: ') and 'start.pth' in failure  # there is no such checkpoint
    network = build(Config.fromfile(tiny_config))
    torch.save(dict(state_dict=network.state_dict(), meta={}), folder / 'start.pth')
    assert complete_runs([row], num_images=2) == []
    listing = json.loads((folder / 'predictions' / 'predictions.json').read_text())
    names = [Path(entry['image']).name for entry in listing['images']]
    assert names == ['0.png', '3.png']  # at equal distances among six
    worst = json.loads((folder / 'worst' / 'predictions.json').read_text())['images']
    assert [Path(entry['image']) for entry in worst] == worst_images(read_run(folder), 2)
    assert RunFolder(folder).cost_file.is_file()
    assert ensure_predictions(folder, example_images(folder, 2)) == 0
    examples, _ = shared_examples(read_rows([row]))
    assert [example.name for example in examples] == ['0', '3']
    image = cv2.imread(str(tiny_data / 'img' / '0.png'))[..., ::-1] / 127.5 - 1
    x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        logits = network.eval()(x, mode='tensor')
        expected = torch.nn.functional.interpolate(logits, size=(40, 40), mode='bilinear')
    agree = (examples[0].labels[0] == expected[0].argmax(0).numpy()).mean()
    assert agree > 0.99  # rounding aside
    prob = expected[0].softmax(0).numpy()
    truth = cv2.imread(str(tiny_data / 'mask' / '0.png'), cv2.IMREAD_UNCHANGED)
    labelled = truth != 255
    with np.load(folder / 'per_image_calibration.npz') as file:
        assert file['names'].tolist()[0].endswith('0.png') and len(file['names']) == 6
        counted = file['confidence'][0].sum(), file['right'][0].sum(), file['count'][0].sum()
    right = (prob.argmax(0) == truth)[labelled].sum()
    assert counted == pytest.approx((prob.max(0)[labelled].sum(), right, labelled.sum()), rel=0.01)
    kept = json.loads((folder / 'results.json').read_text())
    assert kept['metrics'] == results['metrics'] and 0 <= kept['calibration']['ECE'] <= 1
    assert not ensure_calibration(folder)  # counted once


def test_rows_of_converted_weights_are_starred(tmp_path, tiny_data, tiny_config, no_drawing):
    folders = [
        write_run(tmp_path / name, tiny_data, tiny_config, wrong=0.2) for name in ('ours', 'theirs')
    ]
    path = folders[1] / 'results.json'
    given = dict(part='model', file='x.pth', source='s', origin='https://example.org/x')
    path.write_text(json.dumps(dict(json.loads(path.read_text()), converted=given)))
    rows = [Row(folder.name, folder.name, (folder,)) for folder in folders]
    page = write_table_report(rows, tmp_path / 'page.html', title='t')
    tree = ElementTree.fromstring(page.read_text(encoding='utf-8'))
    assert [cells[0] for cells in _cells(tree, 'Scores')] == ['A ours', 'B theirs *']
    assert 'training not reproduced' in ''.join(_section(tree, 'Scores').itertext())
    assert 'x.pth of https://example.org/x' in ''.join(_section(tree, 'The runs').itertext())


def test_letters_go_on():
    assert [letter(i) for i in (0, 25, 26, 27, 52)] == ['A', 'Z', 'AA', 'AB', 'BA']
