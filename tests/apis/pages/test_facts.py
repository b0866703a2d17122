"""How far a run was trained, against its own config and that of the package."""

import json

import pytest
from support.runs import Row, write_run

from mmseg_ext.apis.config.written import written_length
from mmseg_ext.apis.pages.facts import training_note
from mmseg_ext.apis.pages.report import write_report, write_table_report
from mmseg_ext.apis.pages.runs import read_run

NAME = 'fmsi_mobilenetv2_camvid180'


@pytest.fixture(scope='module')
def run(tmp_path_factory, tiny_data, tiny_config):
    folder = tmp_path_factory.mktemp('runs') / 'run'
    return write_run(folder, tiny_data, tiny_config, wrong=0.4)


def _change(folder, **facts):
    path = folder / 'results.json'
    path.write_text(json.dumps(dict(json.loads(path.read_text()), **facts)))
    return read_run(folder)


def test_the_length_is_that_of_the_config_as_it_is_loaded():
    assert written_length(NAME) == 400  # as configs/_base_/protocols/camvid180_400.py says
    assert written_length('nobody') is None and written_length('') is None


def test_a_short_training_is_told_by_the_packages_config_or_its_own(run, tmp_path):
    assert training_note(_change(run, config='run')) == ''  # 30 of the 6 of tiny.py
    config = (run / 'tiny.py').read_text()
    (run / 'tiny.py').write_text(config.replace('max_iters=6', 'max_iters=61'))
    words = 'trained 30 of 61 iterations'
    assert training_note(_change(run, config='run')) == words  # it was stopped
    assert words in write_report(run, tmp_path / 'one.html').read_text()
    words = 'trained 30 of 400 iterations'
    assert training_note(_change(run, config=NAME)) == words  # an option made it short
    page = write_report(run, tmp_path / 'one.html').read_text()
    assert page.count(words) == 2  # beside the result, and under The run
    rows = [Row('a', NAME, (run,)), Row('b', NAME, (run,))]
    page = write_table_report(rows, tmp_path / 'two.html', title='t').read_text()
    assert f'baseline: {words}' in page
    assert '<td class="soft">1.00</td>' in page  # too few images and trainings
    (run / 'tiny.py').write_text(config)
