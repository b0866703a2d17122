"""What a metric can be asked for, by the arguments that it takes."""

import pytest
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS

import mmseg_ext  # noqa: F401
from mmseg_ext.apis.config.metrics import add_facts, metrics_of, takes
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.apis.run.options import use_output

NAMES = ('SegMetric', 'IoUMetric', 'BoundaryF1Metric', 'CalibrationMetric', 'SurfaceMetric')


@pytest.mark.parametrize(
    'argument, names',
    [
        ('output_dir', {'SegMetric', 'IoUMetric'}),
        ('summary_file', {'SegMetric'}),
        ('per_image_file', {'SegMetric', 'CalibrationMetric', 'SurfaceMetric'}),
        ('spacing', {'SurfaceMetric'}),
        ('prefix', set(NAMES)),
    ],
)
def test_what_each_metric_takes(argument, names):
    assert {name for name in NAMES if takes(dict(type=name), argument)} == names


def test_a_class_may_stand_for_its_name_and_an_unknown_name_takes_nothing():
    assert takes(dict(type=METRICS.get('SegMetric')), 'extra')
    assert not takes(dict(type='NoSuchMetric'), 'output_dir') and not takes({}, 'output_dir')


def test_masks_are_written_by_those_that_can():
    metrics = [dict(type='SegMetric'), dict(type='SegMetric', prefix='before_crf'),
               dict(type='IoUMetric'), dict(type='CityscapesMetric'), dict(type='BoundaryF1Metric'),
               dict(type='CalibrationMetric')]  # fmt: skip
    cfg = Config(dict(test_evaluator=metrics))
    use_output(cfg, 'out')
    written = [metric.get('output_dir') for metric in metrics_of(cfg)]
    assert written == ['out', 'out/before_crf', 'out', 'out', None, None]
    kept = [metric.get('keep_results') for metric in metrics_of(cfg)]
    assert kept == [None, None, None, True, None, None]


def test_results_of_a_second_metric_do_not_replace_the_first_ones():
    assert RunFolder('run').result_files(dict(type='SegMetric')) == dict(
        summary_file='run/results.json',
        per_image_file='run/per_image.npz',
        table_file='run/images.csv',
    )
    second = RunFolder('run').result_files(dict(type='SegMetric', prefix='before_crf'))
    assert second['summary_file'] == 'run/results_before_crf.json'
    assert RunFolder('run').result_files(dict(type='SurfaceMetric')) == {}


def test_a_metric_of_a_users_own_is_asked_for_what_it_takes():
    class OwnMetric(BaseMetric):
        def __init__(self, summary_file=None, extra=None, **kwargs):
            super().__init__(**kwargs)

    own, other = dict(type=OwnMetric, extra=dict(seed=1)), dict(type='IoUMetric')
    assert RunFolder('run').result_files(own) == dict(summary_file='run/results.json')
    add_facts([own, other], dict(fold=2))
    assert own['extra'] == dict(seed=1, fold=2) and 'extra' not in other


def test_one_metric_or_none():
    assert metrics_of(Config(dict(val_evaluator=dict(type='A'))), 'val') == [dict(type='A')]
    assert metrics_of(Config(dict(test_evaluator=None))) == []
