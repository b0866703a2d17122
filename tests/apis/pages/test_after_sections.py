"""Sections of a page that tell where a model fails: numbers by hand, and pages of older tests."""

import json
import shutil

import numpy as np
import pytest
from support.runs import write_run

from mmseg_ext.apis.pages.after_sections import borders, objects, thresholds, volumes
from mmseg_ext.apis.pages.report import write_report
from mmseg_ext.apis.pages.runs import read_run
from mmseg_ext.apis.pages.worst import worst_images
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.apis.run.outcome.results import RunResults
from mmseg_ext.apis.run.outcome.tables import write_details
from mmseg_ext.evaluation.volumes import Volumes


def _texts(table):
    return [[line.name.text, *(cell.text for cell in line.cells)] for line in table.lines]


def _tables(section):
    return [block for block in section.blocks if block.kind == 'table']


def test_objects_leave_the_background_out():
    counts = np.zeros((3, 2, 5))
    counts[0, 1] = [9, 900, 900, 9, 9]
    counts[1, 0], counts[1, 1] = [4, 40, 10, 1, 1], [1, 60, 60, 1, 1]
    counts[2, 0] = [6, 60, 40, 4, 3]
    facts = dict(sides=[4], counts=counts.tolist())
    section = objects(dict(classes=['background', 'a', 'b'], objects=facts))
    pooled, of_class = map(_texts, _tables(section))
    assert pooled[0] == ['below 4×4', '10', '50.0\u00a0%', '50.0\u00a0%', '40.0\u00a0%']
    assert pooled[1] == ['4×4 and more', '1', '100.0\u00a0%', '100.0\u00a0%', '100.0\u00a0%']
    assert of_class == [['a', '25.0\u00a0%', '100.0\u00a0%'], ['b', '66.7\u00a0%', '–']]
    assert objects({}) is borders({}) is thresholds({}) is None


def test_borders_by_hand():
    section = borders(dict(borders=dict(edges=[2, 4], counts=[[50, 10], [150, 10], [0, 0]])))
    assert _texts(_tables(section)[0]) == [
        ['below 2', '50', '20.0\u00a0%', '20.0\u00a0%', '50.0\u00a0%'],
        ['2 to 4', '150', '6.7\u00a0%', '10.0\u00a0%', '50.0\u00a0%'],
        ['4 and more', '0', '–', '10.0\u00a0%', '0.0\u00a0%'],
    ]


def test_thresholds_show_one_half_beside_the_chosen_one():
    scores = dict(Dice=0.5, IoU=1 / 3, precision=0.4, recall=None)
    point = dict(threshold=0.5, recall=0.4, precision=0.9, false_alarms=0.1)
    facts = dict(positive='bone', AUC=0.98765, AP=None, at_half=scores, points=[point, point])
    chosen = dict(facts, threshold=0.3, at_threshold=dict(scores, Dice=0.6))
    lines = _texts(_tables(thresholds(dict(thresholds=chosen)))[0])
    assert [line[:2] for line in lines] == [['0.5', '50.0\u00a0%'], ['0.300', '60.0\u00a0%']]
    section = thresholds(dict(thresholds=dict(facts, why_not_chosen='val is tested')))
    assert section.blocks[-1].text.startswith('No threshold was chosen: val is tested.')
    assert section.blocks[0].cards[0][1] == '0.9877' and section.blocks[0].cards[1][1] == '–'


def test_volumes_in_ml():
    found = Volumes(['p', 'q'], np.array([[9, 4000], [9, 2000]]), np.array([[9, 5000], [9, 2000]]))
    results = RunResults(
        {}, per_class=dict(IoU=dict(background=1.0, bone=0.5)), intervals=dict(unit='patient'),
        extra=dict(voxel_mm=[2, 1, 0.5]),
    )  # fmt: skip
    section = volumes(found, results)
    assert section.heading == 'Volume of each patient'
    cards = section.blocks[1].cards
    assert cards[0] == ('bone: mean difference', '0.5', 'ml')
    # differences of 1 and 0 ml: standard deviation 0.7071
    assert cards[1][1] == f'{0.5 - 1.96 * 0.5**0.5:.4g} to {0.5 + 1.96 * 0.5**0.5:.4g}'
    assert cards[2][1] == '12.5\u00a0%'
    assert _texts(_tables(section)[0]) == [
        ['p', '4', '5', '1', '+25.0\u00a0%'], ['q', '2', '2', '0', '+0.0\u00a0%']]  # fmt: skip
    assert volumes(None, results) is None


@pytest.fixture(scope='module')
def run(tmp_path_factory, tiny_data, tiny_config):
    folder = tmp_path_factory.mktemp('after') / 'run'
    return write_run(folder, tiny_data, tiny_config, wrong=0.3, grouped=True)


def test_a_page_of_an_older_test_has_what_its_counts_tell(run, tmp_path):
    page = write_report(run, tmp_path / 'page.html').read_text()
    assert 'The worst images' in page and 'report.py --complete shows them' in page
    assert 'Volume of each patient' in page and 'Most pixels:' in page
    for absent in ('Score against object size', 'Errors near borders', 'Thresholds for'):
        assert absent not in page


def test_a_page_with_details_and_the_worst_images(run, tmp_path):
    folder = RunFolder(tmp_path / 'run')
    shutil.copytree(run, folder.path)
    shutil.copytree(folder.predictions, folder.worst)
    classes = read_run(folder.path).classes
    objects_ = dict(sides=[4], counts=np.ones((3, 2, 5)).tolist())
    details = dict(version=1, classes=classes, objects=objects_)
    details['borders'] = dict(edges=[2], counts=[[5, 1], [5, 0]])
    write_details(folder, details)
    page = write_report(folder.path, tmp_path / 'page.html').read_text()
    assert 'Score against object size' in page and 'Errors near borders' in page
    run = read_run(folder.path)
    rows, names = run.counts.rows, run.counts.names
    scores = []
    for tp, pred, label in rows:
        union = pred + label - tp
        scores.append(np.mean(tp[union > 0] / union[union > 0]))
    expected = [names[place] for place in np.argsort(scores)]
    assert [path.name for path in worst_images(run, 3)] == expected[:3]
    section = page[page.index('The worst images') :]
    places = [section.index(f'prediction of {name[:-4]} by') for name in expected]
    assert places == sorted(places)
    folder.details_file.write_text(json.dumps(dict(details, classes=['of another test'])))
    assert 'Errors near' not in write_report(folder.path, tmp_path / 'page.html').read_text()
