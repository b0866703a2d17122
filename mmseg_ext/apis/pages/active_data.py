"""The finished rounds of active learning, as the sections of their page need them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple, Optional, Protocol

from ..draw.blocks import Key
from ..draw.figures import color, letter
from ..labels.contents import chosen_pixels
from ..labels.plan import Plan
from ..labels.rounds import Round, rounds_of
from ..labels.steps import is_finished
from ..run.outcome.results import RunResults

ClassIoU = dict[str, Optional[float]]


class MeanPoint(NamedTuple):
    """A round of a strategy as mean over seeds; ``sd`` is ``None`` for one seed."""

    number: int
    labelled: float
    share: float
    score: float
    sd: Optional[float]
    seeds: int


class RoundsData(Protocol):
    """What sections about rounds of any kind ask for."""

    @property
    def numbers(self) -> Sequence[int]:
        """Numbers of the rounds."""

    @property
    def finished(self) -> Mapping[str, Mapping[int, Mapping[int, Any]]]:
        """Finished rounds by strategy, seed and number."""

    def results(self, one: Any) -> RunResults:
        """Read the results of a finished round."""

    def pixels(self, one: Any) -> Mapping[str, int]:
        """Count the pixels of each class in what is new in a round."""


@dataclass(frozen=True)
class ActiveData:
    """Rounds of active learning.

    Args:
        plan: What was asked for.
        folder: Folder of the rounds.
        summary: Content of ``active_learning.json``.
    """

    plan: Plan
    folder: Path
    summary: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """What gets labels: images or regions."""
        return 'images' if self.plan.regions is None else 'regions'

    @property
    def numbers(self) -> Sequence[int]:
        """Numbers of the planned rounds; 0 is the start."""
        return range(self.plan.rounds)

    def pixels(self, one: Round) -> dict[str, int]:
        """Count the pixels of each class in what was chosen for a round."""
        return chosen_pixels(self.plan, one)

    def key(self, strategy: str) -> Optional[Key]:
        """Return the letter and color of a strategy; ``None`` if there is only one."""
        place = self.plan.strategies.index(strategy)
        return Key(letter(place), color(place)) if len(self.plan.strategies) > 1 else None

    @cached_property
    def finished(self) -> dict[str, dict[int, dict[int, Round]]]:
        """Finished rounds by strategy, seed and number; a start belongs to every strategy."""
        found: dict[str, dict[int, dict[int, Round]]] = {}
        for strategy in self.plan.strategies:
            for seed in self.plan.seeds:
                rounds = rounds_of(self.plan, strategy, seed, self.folder)
                done = {one.number: one for one in rounds if is_finished(one.run)}
                found.setdefault(strategy, {})[seed] = done
        return found

    @cached_property
    def _read(self) -> dict[Path, RunResults]:
        return {}

    def results(self, one: Round) -> RunResults:
        """Read the results of a finished round once."""
        if one.folder not in self._read:
            self._read[one.folder] = one.run.scores()
        return self._read[one.folder]

    def progress(self) -> str:
        """Say how many of the planned rounds are finished; a start counts once."""
        rounds = [one for seeds in self.finished.values() for done in seeds.values() for one in
                  done.values()]  # fmt: skip
        later = len(self.plan.strategies) * (self.plan.rounds - 1)
        planned = len(self.plan.seeds) * (1 + later)
        return f'{len({one.folder for one in rounds})} of {planned} rounds are finished'

    def points(self, strategy: str) -> dict[str, list[tuple[int, float, float, float]]]:
        """Number, labels, share and score of each finished round, by seed."""
        return {
            seed: [
                (point['round'], point['labelled'], point['share'], point['mIoU'])
                for point in points
                if point['mIoU'] is not None
            ]
            for seed, points in self.summary['curves'][strategy].items()
        }

    def means(self, strategy: str) -> list[MeanPoint]:
        """The rounds that all seeds which have begun have finished."""
        seeds = [points for points in self.points(strategy).values() if points]
        by_round: dict[int, list[tuple[int, float, float, float]]] = {}
        for points in seeds:
            for point in points:
                by_round.setdefault(point[0], []).append(point)
        whole = {n: found for n, found in by_round.items() if len(found) == len(seeds)}
        return [_mean_point(number, found) for number, found in sorted(whole.items())]


def _mean_point(number: int, found: Sequence[tuple[int, float, float, float]]) -> MeanPoint:
    _, labelled, share, score = zip(*found)
    sd = stdev(score) if len(score) > 1 else None
    return MeanPoint(number, mean(labelled), mean(share), mean(score), sd, len(found))
