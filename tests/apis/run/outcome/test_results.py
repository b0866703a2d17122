"""What a test found out: read from files of every age, written in one form, checked on reading."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from mmengine.config import Config

from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.apis.run.outcome.facts import complete_results
from mmseg_ext.apis.run.outcome.results import RUN_FACTS, VERSION, DataFacts, RunResults, Score

# As a test of older days left it: no version, no intervals of today, a fold's facts.
OLD = dict(
    fold=1,
    num_images=4,
    metrics=dict(mIoU=dict(value=0.5, low=0.25, high=0.75), BF=dict(value=None)),
    per_class=dict(IoU=dict(sky=0.25, road=0.75)),
    absent_classes=[],
    confusion=[[1, 3], [0, 12]],
    config='net_voc12aug',
    seed=3,
    dirty=None,
    checkpoint='best_mIoU_iter_9.pth',
    dataset=dict(name='VOC', split='val'),
)


@pytest.fixture
def old(tmp_path):
    path = RunFolder(tmp_path).results_file()
    path.write_text(json.dumps(OLD))
    return path


def test_a_file_without_a_version_is_read(old):
    found = RunResults.read(old)
    assert found.version == 0
    assert found.metrics == dict(mIoU=Score(0.5, 0.25, 0.75), BF=Score(None))
    assert (found.value('mIoU'), found.value('BF'), found.value('mDice')) == (0.5, None, None)
    assert found.classes == ['sky', 'road']
    assert found.matrix.tolist() == [[1, 3], [0, 12]] and found.matrix.dtype == np.int64
    assert found.dataset == DataFacts('VOC', 'val', None)
    assert (found.intervals, found.absent_policy, found.calibration) == ({}, 'skip', None)
    assert (found.config, found.seed, found.checkpoint, found.init) == (
        'net_voc12aug', 3, 'best_mIoU_iter_9.pth', None,
    )  # fmt: skip
    assert found.extra == dict(fold=1)
    assert list(found.facts()) == list(RUN_FACTS) and found.facts()['seed'] == 3
    assert found.constant_miou() == pytest.approx(12 / 16 / 2, abs=1e-12)


def test_it_is_written_in_todays_version_and_nothing_is_lost(old, tmp_path):
    found = RunResults.read(old)
    found.write(tmp_path / 'new.json')
    assert RunResults.read(tmp_path / 'new.json') == replace(found, version=VERSION)
    content = json.loads((tmp_path / 'new.json').read_text())
    assert content['version'] == VERSION == 1 and content['fold'] == 1
    assert content['metrics']['BF'] == dict(value=None, low=None, high=None)
    assert 'calibration' not in content and 'intervals' not in content


def test_a_later_version_and_a_damaged_one_are_refused(old):
    for version, told in ((VERSION + 1, 'is the last one'), ('two', 'version is damaged')):
        old.write_text(json.dumps(dict(OLD, version=version)))
        with pytest.raises(ValueError, match=rf'results\.json.*{told}'):
            RunResults.read(old)


def test_what_is_damaged_is_named_on_reading(old):
    old.write_text(json.dumps(dict(OLD, confusion=[[1]])))
    with pytest.raises(ValueError, match='confusion is damaged'):
        RunResults.read(old)
    old.write_text(
        json.dumps({k: v for k, v in OLD.items() if k not in ('per_class', 'confusion')})
    )
    with pytest.raises(ValueError, match='lacks per_class, confusion'):
        RunResults.read(old)
    assert RunFolder(old.parent).scores().value('mIoU') == 0.5  # of a metric that is not ours


UNITS = dict(method='jackknife', level=0.95, unit='video', units=2, class_units=dict(sky=2, road=1))
AGES = {
    'oldest': dict(OLD, metrics=dict(mIoU=dict(value=0.5)), dataset=None, converted=None),
    'with intervals': dict(OLD, intervals=UNITS, per_class_intervals=dict(IoU=dict(sky=[0, 1]))),
    'with calibration': dict(OLD, calibration=dict(ECE=0.125), absent_policy='zero', batch_f=0.5),
}


@pytest.mark.parametrize('age', AGES)
def test_files_of_every_age_keep_what_they_say(tmp_path, age):
    content = AGES[age]
    path = RunFolder(tmp_path).results_file()
    path.write_text(json.dumps(content))
    found = RunResults.read(path)
    assert found.metrics == {k: Score(**v) for k, v in content['metrics'].items()}
    assert found.facts() == {key: content.get(key) for key in RUN_FACTS}
    assert (found.intervals, found.calibration) == (
        content.get('intervals', {}), content.get('calibration'),
    )  # fmt: skip
    assert set(found.extra) == set(content) - {item.name for item in fields(RunResults)}
    again = RunResults.read(found.write(tmp_path / 'again.json'))
    assert again == replace(found, version=VERSION)


def test_the_test_set_is_described_by_the_results_then_by_the_config():
    dataset = dict(type='Voc', ann_file='lists/val.txt', data_prefix=dict(img_path='img'))
    cfg = Config(dict(test_dataloader=dict(dataset=dataset)))
    assert RunResults({}, num_images=5).described(cfg) == DataFacts('Voc', 'val', 5)
    known = RunResults({}, num_images=5, dataset=DataFacts('Own', 'test', 7))
    assert known.described(cfg) == DataFacts('Own', 'test', 7)
    assert RunResults({}).described(None) == DataFacts(None, None, None)


def test_a_test_completes_what_the_metric_wrote(old, monkeypatch):
    facts = dict(config='net', seed=4, checkpoint='iter_2.pth', date='2026-01-01')
    monkeypatch.setattr('mmseg_ext.apis.run.outcome.facts.run_facts', lambda *_: facts)
    dataset = dict(type='Voc', ann_file='val.txt')
    cfg = Config(dict(test_dataloader=dict(dataset=dataset)))
    metrics = {
        'mIoU': 99.0,
        'BF': 50.0,
        'BF.sky': 25.0,
        'BF.road': 75.0,
        'crf/mIoU': float('nan'),
        'crf/mAcc': 1.0,
    }
    ends = {'BF': (0.25, 0.75), 'BF.sky': (0.0, 0.5)}
    complete_results(
        old, cfg, 'iter_2.pth', metrics, ours=True, calibration=dict(ece=0.125), intervals=ends
    )
    found = RunResults.read(old)
    assert found.metrics == {
        'mIoU': Score(0.5, 0.25, 0.75), 'BF': Score(0.5, 0.25, 0.75), 'crf/mIoU': Score(None),
    }  # fmt: skip
    assert found.per_class['BF'] == dict(sky=0.25, road=0.75)
    assert found.per_class_intervals['BF'] == dict(sky=[0.0, 0.5], road=[None, None])
    assert found.calibration == dict(ece=0.125)
    assert (found.version, found.seed, found.checkpoint) == (VERSION, 4, 'iter_2.pth')
    assert found.dataset == DataFacts('VOC', 'val', 4) and found.extra == dict(fold=1)


def test_scores_of_other_metrics_are_kept_as_fractions(tmp_path, monkeypatch):
    monkeypatch.setattr('mmseg_ext.apis.run.outcome.facts.run_facts', lambda *_: dict(config='net'))
    cfg = Config(dict(test_dataloader=dict(dataset=dict(type='Voc'))))
    path = RunFolder(tmp_path).results_file()
    complete_results(path, cfg, 'x.pth', dict(mIoU=25.0, table='text'), ours=False)
    assert RunFolder(tmp_path).scores().metrics == dict(mIoU=Score(0.25))
    with pytest.raises(ValueError, match='lacks per_class, confusion'):
        RunFolder(tmp_path).results()
