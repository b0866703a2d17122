"""Say in one line which rows of a table differ from its baseline by more than chance.

Over seeds: what a training's seed changes is more than what the choice of test images does.
"""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any, Optional

from ...evaluation.paired import holm

_LEVEL = 0.05


def separation_line(data: Mapping[str, Any]) -> str:
    """Name the rows that differ from the baseline at 5 %, those that do not, and the untested.

    Each row is compared in the first score of the table, by Student's paired t-test over the seeds
    that both have, at least two, with Holm's correction for the rows tested.

    Args:
        data: A table as JSON, from :func:`~..tables.text.as_data`.

    Returns:
        A sentence, empty where no row can be tested.
    """
    runs = {row['label']: _by_seed(row) for row in data['rows']}
    baseline = runs.pop(data['baseline'], {})
    metric = data['rows'][0]['lines'][0]['metric'] if data['rows'] else ''
    p_values = {label: _p(found, baseline) for label, found in runs.items()}
    tested = [label for label, p in p_values.items() if p is not None]
    if not tested:
        return ''
    apart: list[str] = []
    alike: list[str] = []
    for label, p in zip(tested, holm([p_values[label] for label in tested])):
        (apart if p is not None and p < _LEVEL else alike).append(label)
    untested = [label for label, found in runs.items() if found and label not in tested]
    parts = {
        f'differ from {data["baseline"]} at 5 %': apart or ['none'],
        'do not': alike,
        'have too few seeds in common with it': untested,
    }
    said = '; '.join(f'{words}: {", ".join(labels)}' for words, labels in parts.items() if labels)
    return f"In {metric}, by Student's paired t-test over seeds with Holm's correction, {said}."


def _by_seed(row: Mapping[str, Any]) -> dict[str, float]:
    """The first score of a row for each seed; empty where runs are not one for each seed."""
    values = row['lines'][0]['values'] or [] if row['lines'] else []
    seeds = (row['facts'] or {}).get('seed') or []
    seeds = [seeds] if isinstance(seeds, str) else list(seeds)
    return dict(zip(map(str, seeds), values)) if len(seeds) == len(values) else {}


def _p(a: Mapping[str, float], b: Mapping[str, float]) -> Optional[float]:
    shared = [seed for seed in a if seed in b]
    return paired_p([a[seed] - b[seed] for seed in shared]) if len(shared) > 1 else None


def paired_p(differences: Sequence[float]) -> float:
    """Two-sided p of Student's t-test that the mean of paired differences is zero.

    Args:
        differences: Two or more.
    """
    from scipy.stats import t

    center, spread = mean(differences), stdev(differences)
    if not spread:
        return 0.0 if center else 1.0
    count = len(differences)
    return float(2 * t.sf(abs(center) / (spread / count**0.5), count - 1))
