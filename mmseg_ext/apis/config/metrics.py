"""The metrics of a config, and what each of them can be asked for.

A metric declares what it does by the arguments that it takes: ``output_dir`` for one that writes
the predicted masks, ``summary_file``, ``per_image_file`` and ``extra`` for one that writes the
results of a run. So nothing here, nor in what reads it, knows a metric by its name.
"""

from collections.abc import Iterable
from typing import Any

from mmengine.config import Config
from mmseg.registry import METRICS

from .signatures import arguments_of


def metrics_of(cfg: Config, part: str = 'test') -> list[dict]:
    """List the configs of a split's metrics; none without an evaluator.

    Args:
        cfg: A complete config.
        part: ``'val'`` or ``'test'``.
    """
    evaluator = cfg.get(f'{part}_evaluator') or []
    return list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]


def takes(metric: dict, argument: str) -> bool:
    """Whether a metric takes an argument by name; one that is not registered takes none.

    Args:
        metric: Settings with their ``type``.
        argument: Name, such as ``'output_dir'``.
    """
    kind: Any = metric.get('type')
    kind = METRICS.get(kind) if isinstance(kind, str) else kind
    return kind is not None and argument in arguments_of(kind)[0]


def add_facts(metrics: Iterable[dict], facts: dict[str, Any]) -> None:
    """Let the metrics that write the results of a run write facts about it beside the scores.

    Args:
        metrics: Settings with their ``type``; changed in place.
        facts: Name to what JSON can hold.
    """
    for metric in metrics:
        if takes(metric, 'summary_file') and takes(metric, 'extra'):
            metric['extra'] = dict(metric.get('extra') or {}, **facts)
