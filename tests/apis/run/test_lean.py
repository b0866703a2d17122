"""A test makes logits of the full size only where something reads them, and scores alike."""

import pytest
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook, IterTimerHook
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.evaluation import IoUMetric

from mmseg_ext.apis.run import testing
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.lean import logits_are_read
from mmseg_ext.apis.run.training import train
from mmseg_ext.evaluation import (
    BoundaryF1Metric,
    CalibrationMetric,
    DetailMetric,
    PseudoLabelMetric,
    SegMetric,
    SurfaceMetric,
)


class UsersMetric(BaseMetric):
    """It may read anything."""

    def process(self, data_batch, data_samples): ...

    def compute_metrics(self, results): ...


class UsersHook(Hook):
    """It may read anything, too."""

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None): ...


def details(num_classes):
    metric = DetailMetric()
    metric.dataset_meta = dict(classes=[f'class {i}' for i in range(num_classes)])
    return metric


LABELS = dict(
    seg=SegMetric(), iou=IoUMetric(), border=BoundaryF1Metric(), surface=SurfaceMetric(),
    details=details(3), masks=SegMetric(batch_f_score=True, format_only=True, output_dir='out'),
)  # fmt: skip
LOGITS = dict(
    f_score=SegMetric(batch_f_score=True), calibration=CalibrationMetric(),
    pseudo=PseudoLabelMetric(), curves=details(2), users=UsersMetric(),
)  # fmt: skip


@pytest.mark.parametrize('name', LABELS)
def test_what_compares_labels_reads_no_logits(name):
    drawing = SegVisualizationHook.__new__(SegVisualizationHook)  # built, it wants a visualizer
    evaluator = Evaluator([LABELS[name]])
    assert not logits_are_read(evaluator, [IterTimerHook(), drawing])


@pytest.mark.parametrize('name', LOGITS)
def test_one_metric_that_reads_logits_is_enough(name):
    assert logits_are_read(Evaluator([SegMetric(), LOGITS[name]]), [IterTimerHook()])


def test_an_unknown_hook_or_evaluator_is_taken_to_read_them():
    assert logits_are_read(Evaluator([SegMetric()]), [IterTimerHook(), UsersHook()])
    assert logits_are_read(object(), [])


def test_scores_are_those_of_a_test_with_logits(tiny_config, tmp_path, monkeypatch):
    cfg = load_config(tiny_config, work_dir=tmp_path / 'run', options=dict(max_iters=2))
    train(cfg)
    found = []
    for lean in (True, False):
        if not lean:
            monkeypatch.setattr('mmseg_ext.apis.run.lean.logits_are_read', lambda *_: True)
        seen = []

        def watched(runner, cfg, seen=seen, before=testing.lean):
            seen.append(runner)
            return before(runner, cfg)

        monkeypatch.setattr(testing, 'lean', watched)
        scores = testing.test(load_config(tiny_config, work_dir=tmp_path / 'run'))
        assert len(seen) == 1
        found.append({name: value for name, value in scores.items() if 'time' not in name})
    assert found[0] == found[1] and 'mIoU' in found[0]
