"""Find learning rates at which a config learns; weights and folders stay as they are."""

import csv
import io
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from ...core.files import PathLike, write_bytes
from ...engine.rate_range import RatePoint, RateRangeHook
from ..draw.figures import draw_rates
from .options import use_nan
from .training import train

_FEWEST = 10  # steps: fewer have no slope


class RateAdvice(NamedTuple):
    """What a range of rates says.

    Args:
        points: The steps, in their order.
        steepest: Rate below ``lowest`` at which the smoothed loss falls fastest over the logarithm.
        lowest: Rate at which the smoothed loss is smallest.
    """

    points: list[RatePoint]
    steepest: float
    lowest: float

    @property
    def suggested(self) -> float:
        """A tenth of the rate of the smallest loss, at most the steepest."""
        return min(self.lowest / 10, self.steepest)


def find_rate(cfg: Config, *, low: float = 1e-6, high: float = 1.0, steps: int = 100) -> RateAdvice:
    """Train for some steps in a temporary folder while the learning rate rises.

    Args:
        cfg: From :func:`~.config.load_config`; changed in place: its schedule and validations go.
        low: First rate, of the optimiser; parts keep their ratio to it.
        high: Last rate.
        steps: Number of steps, at least 10.

    Raises:
        ValueError: If a number is out of range, the config has several optimisers, or the loss
            leaves the range within the first steps.
    """
    if not 0 < low < high or not math.isfinite(high) or steps < _FEWEST:
        raise ValueError(
            f'rates must rise from above 0, over at least {_FEWEST} steps: got {low:g} to {high:g} '
            f'over {steps}'
        )
    if 'optimizer' not in cfg.optim_wrapper:
        raise ValueError(f'{cfg.filename} has several optimisers: one rate cannot be found')
    cfg.param_scheduler = []
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=steps, val_interval=steps + 1)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.default_hooks.checkpoint = None
    cfg.optim_wrapper.optimizer.lr = low
    cfg.custom_hooks = [
        *(cfg.get('custom_hooks') or []),
        dict(type='RateRangeHook', low=low, high=high, steps=steps),
    ]
    use_nan(cfg, 'skip')
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir = folder
        runner = train(cfg)
    (hook,) = [hook for hook in runner.hooks if isinstance(hook, RateRangeHook)]
    return advise(hook.points)


def advise(points: Sequence[RatePoint]) -> RateAdvice:
    """Read the range.

    Raises:
        ValueError: If there are fewer than ten points.
    """
    if len(points) < _FEWEST:
        raise ValueError(
            f'the loss left its range after {len(points)} steps: give a smaller first rate (--low)'
        )
    lowest = min(range(len(points)), key=lambda i: points[i].smoothed)
    before_it = points[: max(lowest, 2) + 1]  # behind it, falls follow jumps
    slopes = [
        (after.smoothed - before.smoothed) / math.log(after.rate / before.rate)
        for before, after in zip(before_it, before_it[2:])
    ]
    steepest = 1 + min(range(len(slopes)), key=lambda i: slopes[i])
    return RateAdvice(list(points), points[steepest].rate, points[lowest].rate)


def write_rates(advice: RateAdvice, folder: PathLike) -> tuple[Path, Path]:
    """Write ``rates.csv`` and ``rates.svg``; returns their paths."""
    table = io.StringIO()
    rows = csv.writer(table, lineterminator='\n')
    rows.writerow(RatePoint._fields)
    rows.writerows([f'{value:.6g}' for value in point] for point in advice.points)
    drawn = draw_rates(
        [(point.rate, point.loss) for point in advice.points],
        [(point.rate, point.smoothed) for point in advice.points],
        advice.suggested,
    )
    Path(folder).mkdir(parents=True, exist_ok=True)
    return (
        write_bytes(Path(folder, 'rates.csv'), table.getvalue().encode()),
        write_bytes(Path(folder, 'rates.svg'), drawn),
    )
