"""Find the metrics of a config and what they can write.

The arguments of a metric tell what it can write: with ``output_dir``, predicted masks; with
``summary_file``, ``per_image_file`` and ``extra``, the results of a run. So no code depends on the
name of a metric.
"""

from collections.abc import Iterable
from typing import Any

from mmengine.config import Config
from mmseg.registry import METRICS

from .signatures import arguments_of


def metrics_of(cfg: Config, part: str = 'test') -> list[dict]:
    """List the metric configs of a split; empty if there is no evaluator.

    Args:
        cfg: A complete config.
        part: ``'val'`` or ``'test'``.
    """
    evaluator = cfg.get(f'{part}_evaluator') or []
    return list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]


def takes(metric: dict, argument: str) -> bool:
    """Tell whether a metric takes an argument; False if the metric is not registered.

    Args:
        metric: Settings with their ``type``.
        argument: Name of the argument, such as ``'output_dir'``.
    """
    kind: Any = metric.get('type')
    kind = METRICS.get(kind) if isinstance(kind, str) else kind
    return kind is not None and argument in arguments_of(kind)[0]


def add_facts(metrics: Iterable[dict], facts: dict[str, Any]) -> None:
    """Add facts to the results that metrics write.

    Args:
        metrics: Settings with their ``type``; changed in place.
        facts: JSON values by name.
    """
    for metric in metrics:
        if takes(metric, 'summary_file') and takes(metric, 'extra'):
            metric['extra'] = dict(metric.get('extra') or {}, **facts)
