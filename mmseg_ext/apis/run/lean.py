"""A test in another form of its model, and without maps of logits where nothing reads them."""

from contextlib import AbstractContextManager
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.evaluation import IoUMetric

from ...evaluation.label_map_metric import LabelMapMetric
from .quick import quick

_READS = ('after_test_iter', '_after_iter')  # the methods that see a model's outputs
_KNOWN = ('mmengine.', 'mmseg.', 'mmseg_ext.')  # these read labels alone


def lean(runner: Runner, cfg: Config) -> AbstractContextManager[bool]:
    """Let the model of a test run as the config's ``inference`` says, see :func:`.use_fast`.

    It gives labels alone, if no metric and no hook reads logits. A metric or hook of the user's own
    is taken to read them.
    """
    labels = not logits_are_read(runner.test_evaluator, runner.hooks)
    return quick(runner.model, labels=labels, **(cfg.get('inference') or {}))


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
