"""The section about pseudo labels: its curves and numbers on runs made by hand, and in a page."""

import json
import shutil
from xml.etree import ElementTree

import pytest
from support.runs import Row, write_run

from mmseg_ext.apis.pages import pseudo_labels as module
from mmseg_ext.apis.pages.gather import read_rows
from mmseg_ext.apis.pages.report import write_report
from mmseg_ext.apis.pages.runs import read_run

NAN = float('nan')


def teach(folder, *, validated, trained=(), threshold=0.95, checkpoint='iter_30.pth'):
    """Add to a run what a semi-supervised training logs: coverage, precision, mIoU and ECE."""
    path = folder / '20260901_1/vis_data/scalars.json'
    kept = [line for line in path.read_text().splitlines() if 'mIoU' not in line]
    records = [
        {'iter': step, 'step': step, 'semi.coverage': coverage, 'semi.precision': precision}
        for step, coverage, precision in trained
    ]
    names = ('step', 'pseudo/coverage', 'pseudo/precision', 'mIoU', 'ECE')
    records += [dict(zip(names, values)) for values in validated]
    path.write_text('\n'.join([*kept, *map(json.dumps, records)]))
    path.with_name('config.py').write_text(
        f"model = dict(type='SemiSegmentor', threshold={threshold})\n"
    )
    results = folder / 'results.json'
    content = dict(json.loads(results.read_text()), checkpoint=checkpoint)
    results.write_text(json.dumps(content))
    return folder


@pytest.fixture(scope='module')
def rows(tmp_path_factory, tiny_data, tiny_config):
    """A plain run, FixMatch with two seeds, Mean Teacher with one validation."""
    root = tmp_path_factory.mktemp('pseudo')

    def run(name, seed=0):
        return write_run(root / name, tiny_data, tiny_config, wrong=0.5, seed=seed, images=range(4))

    first = teach(
        run('fix_0'),
        validated=[(15, 40.0, NAN, 20.0, 9.0), (30, 60.0, 80.0, 50.0, 7.0)],
        trained=[(5, 0.0, 0.0), (10, 0.1, 0.5), (15, 0.1, NAN), (20, 0.25, 0.75)],
    )
    second = teach(
        run('fix_1', 1), validated=[(30, 70.0, 90.0, 52.0, 8.0)], checkpoint='best_mIoU_iter_15.pth'
    )
    teacher = teach(
        run('teacher', 2),
        validated=[(30, 100.0, 61.5, 40.0, 12.0)],
        threshold=0.0,
        checkpoint='iter_20.pth',
    )
    results = teacher / 'results.json'
    results.write_text(json.dumps(dict(json.loads(results.read_text()), iterations=20)))
    plain = run('plain', 3)
    path = plain / 'results.json'
    best = dict(json.loads(path.read_text()), checkpoint='best_mIoU_iter_30.pth')
    path.write_text(json.dumps(best))
    return [
        Row('plain', 'plain', (plain,)),
        Row('FixMatch & <b>', 'fix', (first, second)),
        Row('Mean Teacher', 'teacher', (teacher,)),
        Row('absent', 'absent', ()),
    ]


@pytest.fixture
def drawn(monkeypatch):
    """What would be drawn: label -> curves and pale curves of each row."""
    found = {}

    def draw(curves, *, ylabel, pale):
        found[ylabel] = (dict(curves), dict(pale))
        return b'<svg/>'

    monkeypatch.setattr(module, 'draw_row_curves', draw)
    return found


def test_curves_are_those_of_the_logs_in_per_cent_without_undefined_values(rows, drawn):
    made = module.pseudo_labels(read_rows(rows))
    assert list(drawn) == ['coverage in %', 'precision in %', 'mIoU in %', 'ECE in %']
    assert drawn['coverage in %'] == (
        {1: [{15: 40.0, 30: 60.0}, {30: 70.0}], 2: [{30: 100.0}]},
        {1: [{5: 0.0, 10: 10.0, 15: 10.0, 20: 25.0}]},
    )
    assert drawn['precision in %'] == (
        {1: [{30: 80.0}, {30: 90.0}], 2: [{30: 61.5}]},
        {1: [{10: 50.0, 20: 75.0}]},
    )
    plain = {15: 55.0, 30: 70.0}  # of write_run: a row without pseudo labels, to compare with
    assert drawn['mIoU in %'][0] == {
        0: [plain], 1: [{15: 20.0, 30: 50.0}, {30: 52.0}], 2: [{30: 40.0}]}  # fmt: skip
    assert made.heading == 'Pseudo labels'
    assert 'B from 40 at iteration 15 to 60 at iteration 30 (validation)' in (
        made.blocks[1].figures[0][0].alt
    )


def test_the_table_has_the_end_of_each_row_and_what_was_tested(rows, drawn):
    *_, table = module.pseudo_labels(read_rows(rows)).blocks
    shares = ('coverage, %', 'precision, %', 'mIoU, %', 'ECE, %')
    assert table.head == ('row', 'threshold', *shares, 'tested')
    cells = {line.name.text: [(c.text, *c.small) for c in line.cells] for line in table.lines}
    assert cells == {
        'plain': [
            ('–',), ('–',), ('–',), ('70.0',), ('–',), ('the best on validation images',)],
        'FixMatch & <b>': [
            ('0.95',), ('65.0', 'training 25.0'), ('85.0', 'training 75.0'), ('51.0',), ('7.5',),
            ('the last checkpoint, the best on validation images',)],
        'Mean Teacher': [
            ('0',), ('100.0',), ('61.5',), ('40.0',), ('12.0',), ('iteration 20 of 30',)],
    }  # fmt: skip


@pytest.mark.parametrize('model, said', [
    (dict(type='SemiSegmentor', threshold=0.7), '0.7'), (dict(type='SemiSegmentor'), '0.95'),
    (dict(type='AdversarialSegmentor'), '0.2 (discriminator)'), (dict(type='EncoderDecoder'), '–'),
    (dict(type='NobodyKnows'), '–'), ({}, '–'),
])  # fmt: skip
def test_the_threshold_is_that_of_the_training_or_the_default(rows, tmp_path, model, said):
    folder = shutil.copytree(rows[0].runs[0], tmp_path / 'run')
    (folder / '20260901_1/vis_data/config.py').write_text(f'model = {model}')
    assert module._threshold(read_run(folder)) == said


def test_runs_without_pseudo_labels_have_no_section(rows, drawn):
    assert module.pseudo_labels(read_rows(rows[:1])) is None and drawn == {}


def test_the_page_of_one_run_shows_it_and_the_error_beside_the_score(rows, tmp_path):
    page = write_report(rows[1].runs[0], tmp_path / 'page.html').read_text(encoding='utf-8')
    tree = ElementTree.fromstring(page)
    (found,) = [part for part in tree.iter('section') if part.findtext('h2') == 'Pseudo labels']
    captions = [caption.text for caption in found.iter('figcaption')]
    assert captions == ['coverage in %', 'precision in %', 'mIoU in %', 'ECE in %']
    scores = [part for part in tree.iter('section') if part.findtext('h2') == 'Scores']
    names = [name.text for name in scores[0].iterfind('.//tbody/tr/th')]
    assert names[:2] == ['mean IoU (mIoU)', 'calibration error (ECE)']
    ece = json.loads((rows[1].runs[0] / 'results.json').read_text())['calibration']['ECE']
    values = [row.find('td').text for row in scores[0].iterfind('.//tbody/tr')]
    assert values[1] == f'{100 * ece:.1f}'
