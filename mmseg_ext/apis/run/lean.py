"""A test without maps of logits, where nothing that takes part in it reads them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.evaluation import IoUMetric

from ...evaluation.label_map_metric import LabelMapMetric
from ...models.segmentors.label_only import labels_only

_READS = ('after_test_iter', '_after_iter')  # the methods that see a model's outputs
_KNOWN = ('mmengine.', 'mmseg.', 'mmseg_ext.')  # these read labels alone


@contextmanager
def lean(runner: Runner) -> Iterator[bool]:
    """Let the model of a test give labels alone, if no metric and no hook reads logits.

    A metric or hook of the user's own is taken to read them.

    Yields:
        Whether it does.
    """
    if logits_are_read(runner.test_evaluator, runner.hooks):
        yield False
        return
    with labels_only(runner.model) as able:
        yield able


def logits_are_read(evaluator: Any, hooks: list[Hook]) -> bool:
    """Whether some metric or hook may read ``seg_logits``."""
    metrics = evaluator.metrics if isinstance(evaluator, Evaluator) else [None]
    return any(map(_metric_reads, metrics)) or any(map(_hook_reads, hooks))


def _metric_reads(metric: Any) -> bool:
    if isinstance(metric, LabelMapMetric):
        return metric.needs_logits
    return type(metric) is not IoUMetric


def _hook_reads(hook: Hook) -> bool:
    methods = [getattr(type(hook), name) for name in _READS]
    return not all(method.__module__.startswith(_KNOWN) for method in methods)
