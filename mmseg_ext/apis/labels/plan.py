"""What is asked of active learning, and kept in its work folder."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from ...core.files import PathLike, read_json, write_json
from ...core.words import check_choice, unknown
from .strategies import STRATEGIES

_PLAN = 'active_plan.json'


@dataclass(frozen=True)
class Plan:
    """What decides about the results of rounds.

    Args:
        config: As given to the tools.
        dataset: Data set file whose training split is the pool.
        strategies: Names of ``STRATEGIES``.
        seeds: Of the start, of what is drawn, and of the trainings.
        rounds: Trainings of a strategy, that of the start among them.
        budget: Labels of a round: ``'10%'`` of the pool, or a number.
        regions: Kind of regions that get labels; ``None`` for whole images.
        size: Side of a region in pixels.
        passes: With dropout, for the scores that need it.
        warm_start: Go on from the weights of the round before in place of a fresh start.
        amp: Mixed precision.
        deterministic: Only algorithms whose results repeat.
        options: ``--cfg-options``, as typed.
    """

    config: str
    dataset: str
    strategies: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    rounds: int = 6
    budget: str = '10%'
    regions: Optional[str] = None
    size: int = 64
    passes: int = 10
    warm_start: bool = False
    amp: bool = False
    deterministic: bool = False
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.strategies:
            check_choice('strategy', name, STRATEGIES)
        if self.rounds < 1:
            raise ValueError(f'rounds must be a number from 1, got {self.rounds}')

    def per_round(self, available: int) -> int:
        """Labels of a round.

        Raises:
            ValueError: If the budget is none, or all rounds ask for more labels than there are.
        """
        count = parse_budget(self.budget, available)
        if count * self.rounds > available:
            raise ValueError(
                f'{self.rounds} rounds of {count} labels are {count * self.rounds}, and the pool '
                f'has {available}: lower --budget or --rounds'
            )
        return count


# What a simulation takes from a config's ``active_learning`` where the command line says nothing.
DEFAULTS: dict[str, Any] = dict(strategies=('entropy',), seeds=(0,), rounds=6, budget='10%')


def settle(given: Mapping[str, Any], row: Optional[Mapping[str, Any]] = None) -> dict[str, Any]:
    """Choose the settings of ``DEFAULTS``: the given ones, else the row's, else the default.

    Args:
        given: Settings of the command line; ``None`` where there is none.
        row: ``active_learning`` of a config.

    Raises:
        ValueError: If a row has another entry, or one of another kind.
    """
    row = {} if row is None else row
    for key, value in row.items():
        if key not in DEFAULTS:
            raise ValueError(f'active_learning: {unknown("entry", str(key), DEFAULTS)}')
        kind = (list, tuple) if isinstance(DEFAULTS[key], tuple) else (type(DEFAULTS[key]),)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f'active_learning.{key} is {value!r}, which is of another kind')
    found = {key: row.get(key, value) for key, value in DEFAULTS.items()}
    found.update({key: value for key, value in given.items() if value is not None})
    lists = {key: tuple(dict.fromkeys(found[key])) for key in ('strategies', 'seeds')}
    return {**found, **lists}


def parse_budget(text: str, available: int) -> int:
    """A budget as a number of labels, at least one; a share is rounded down.

    Args:
        text: ``'10%'`` of what is available, or a number.
        available: Size of the pool.

    Raises:
        ValueError: If it is neither, or beyond 0 to 100 %.
    """
    number = text.strip().removesuffix('%')
    try:
        value = float(number)
        if number != text.strip():
            if not 0 < value <= 100:
                raise ValueError
            return max(1, int(available * value / 100 + 1e-9))  # ten rounds of 10% fit
        if value < 1 or value != int(value):
            raise ValueError
        return int(value)
    except (ValueError, OverflowError):
        raise ValueError(
            f'--budget must be a share of the pool, such as 10%, or a number of labels from 1, got '
            f'{text!r}'
        ) from None


def holds_rounds(work_dir: PathLike) -> bool:
    """Whether a folder is that of simulated rounds."""
    return Path(work_dir, _PLAN).is_file()


def read_plan(work_dir: PathLike) -> Plan:
    """Read what the rounds of a folder were asked for, by all calls together.

    Raises:
        FileNotFoundError: If the folder holds no rounds.
        ValueError: If the file is damaged.
    """
    path = Path(work_dir, _PLAN)
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist: {work_dir} holds no simulated rounds')
    try:
        content: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in read_json(path).items()
        }
        return Plan(**content)
    except (TypeError, AttributeError) as error:
        raise ValueError(f'{path}: {error}') from error


def keep_plan(plan: Plan, work_dir: Path) -> None:
    """Write the plan into the work folder, or compare it with the one that is there.

    Strategies, seeds and rounds may be added; everything else must be as it was.

    Raises:
        ValueError: If the folder holds rounds that were run otherwise.
    """
    path = work_dir / _PLAN
    new = json.loads(json.dumps(asdict(plan)))
    if path.is_file():
        old = read_json(path)
        free: tuple[str, ...] = ('strategies', 'seeds', 'rounds')
        # ClaSP PE's noise follows the number of rounds
        free = free[:2] if 'clasp_pe' in {*old['strategies'], *plan.strategies} else free
        changed = [key for key in new if key not in free and old.get(key) != new[key]]
        if changed:
            text = '; '.join(f'{key} was {old.get(key)} and is {new[key]}' for key in changed)
            raise ValueError(
                f'{path.parent} holds rounds that were run otherwise ({text}): give another '
                '--work-dir, or remove that folder'
            )
        for key in ('strategies', 'seeds'):
            new[key] = list(dict.fromkeys([*old[key], *new[key]]))
    write_json(path, new)
