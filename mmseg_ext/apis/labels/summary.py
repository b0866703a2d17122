"""What finished rounds say: curves, areas and tests, as JSON and as text."""

from pathlib import Path
from typing import Any

import numpy as np

from ...core.files import write_json
from ...evaluation.summary import score_text
from ...evaluation.units import counted
from ..run.outcome.results import RunResults
from .curve import area, compare, verdict
from .plan import Plan
from .rounds import Round, rounds_of
from .steps import is_finished

SUMMARY = 'active_learning.json'


def summarise(plan: Plan, work_dir: Path) -> dict[str, Any]:
    """Read the finished rounds and write ``active_learning.json``; scores are fractions.

    An area is that of a seed whose rounds are all finished, so that areas can be compared.

    Returns:
        What was written.

    Raises:
        ValueError: If two rounds were tested on other images or masks.
    """
    curves: dict[str, dict[str, list]] = {}
    areas: dict[str, dict[int, float]] = {}
    tested: dict[tuple[int, ...], str] = {}  # by labelled pixels of each class, one of the rounds
    for strategy in plan.strategies:
        curves[strategy], areas[strategy] = {}, {}
        for seed in plan.seeds:
            rounds = rounds_of(plan, strategy, seed, work_dir)
            points = []
            for one in rounds:
                if is_finished(one.run):
                    results = one.run.scores()
                    points.append(_point(one, results))
                    tested.setdefault(results.labelled or (), str(one.run.path))
            curves[strategy][str(seed)] = points
            found = area([(p['share'], p['mIoU']) for p in points if p['mIoU'] is not None])
            if found is not None and len(points) == plan.rounds:
                areas[strategy][seed] = found
    tested.pop((), None)  # no confusion matrix
    if len(tested) > 1:
        first, second, *_ = tested.values()
        raise ValueError(
            f'{first} and {second} were tested on other images or masks than each other, so the '
            'rounds cannot be compared: give another --work-dir, or test these runs again'
        )
    pairs = compare(areas)
    content = dict(
        regions=plan.regions,
        budget=plan.budget,
        curves=curves,
        areas={strategy: _spread(found) for strategy, found in areas.items()},
        tests=pairs,
        verdict=verdict(pairs),
    )
    write_json(work_dir / SUMMARY, content)
    return content


def _point(one: Round, results: RunResults) -> dict[str, Any]:
    labelled = len(one.names('labelled'))
    share = labelled / (labelled + len(one.names('pool')))
    value = results.metrics['mIoU'].value
    return dict(round=one.number, labelled=labelled, share=share, mIoU=value)


def _spread(areas: dict[int, float]) -> dict[str, Any]:
    """Mean and standard deviation (over n - 1) of the areas of seeds."""
    values = list(areas.values())
    return dict(
        seeds=list(areas),
        values=values,
        mean=float(np.mean(values)) if values else None,
        sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
    )


def as_text(content: dict[str, Any]) -> str:
    """The summary for the screen: mIoU in percent after each round, areas, tests."""
    lines = []
    for strategy, seeds in content['curves'].items():
        for seed, points in seeds.items():
            values = (
                ', '.join(f'{100 * p["share"]:.1f} %: {score_text(p["mIoU"])}' for p in points)
                or 'no round is finished'
            )
            lines.append(f'{strategy}, seed {seed}: {values}')
    for strategy, found in content['areas'].items():
        sd = '' if found['sd'] is None else f' +- {100 * found["sd"]:.2f}'
        seeds = counted(len(found['seeds']), 'seed')
        lines.append(f'area of {strategy}: {score_text(found["mean"])}{sd} ({seeds})')
    for pair in content['tests']:
        if pair['p'] is not None:
            lines.append(
                f'{pair["first"]} - {pair["second"]}: {100 * pair["difference"]:+.2f}, '
                f'p {pair["p"]:.3g}, by Holm {pair["p_holm"]:.3g}'
            )
    return '\n'.join([*lines, content['verdict']])
