"""Rounds of active learning where the labels are known: choose, train, test, score, again.

Each round is a training and a test by the tools that a user would call. The files of a round are
its state: what is there is not done again, what was left half-written is. Run it again at any time.

::

    WORK_DIR/active_plan.json           what was asked for
    WORK_DIR/start_seed0/round0/        drawn at random, shared by all strategies of a seed
    WORK_DIR/entropy_seed0/round1/      chosen.txt, labelled.txt, pool.txt, data.yml, run/
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Optional

from ...core.files import write_lines
from ...core.locks import locked
from ...core.progress import announce
from ...datasets.folder import read_list
from ..run.folder import RunFolder
from ..run.launch import Launch
from ..run.load import load_model
from .candidates import Candidates
from .plan import Plan, keep_plan
from .pool import ScorePool, without_labels
from .select import choose
from .steps import Steps, is_finished
from .strategies import STRATEGIES, Strategy
from .subset import Pool, write_subset

_START = 'start'


class Round(NamedTuple):
    """One round of a strategy with a seed; number 0 is the start."""

    strategy: str
    seed: int
    number: int
    folder: Path

    @property
    def title(self) -> str:
        """What is printed before its steps."""
        return f'{self.strategy}, seed {self.seed}, round {self.number}'

    @property
    def data_file(self) -> Path:
        """Its data set file."""
        return self.folder / 'data.yml'

    @property
    def run(self) -> RunFolder:
        """Its training and test."""
        return RunFolder(self.folder / 'run')

    def names(self, kind: str) -> list[str]:
        """Read a list: ``chosen``, ``labelled`` or ``pool``."""
        return read_list(self.folder / f'{kind}.txt')


class Failed(NamedTuple):
    """A round that could not be trained or tested."""

    round: Round
    step: str
    log: Path


def rounds_of(plan: Plan, strategy: str, seed: int, work_dir: Path) -> list[Round]:
    """The rounds of a strategy; the first is the start of its seed."""
    start = Round(_START, seed, 0, work_dir / f'{_START}_seed{seed}' / 'round0')
    own = work_dir / f'{strategy}_seed{seed}'
    later = range(1, plan.rounds)
    return [start, *(Round(strategy, seed, n, own / f'round{n}') for n in later)]


@dataclass(frozen=True)
class Rounds:
    """All rounds of a plan.

    Args:
        plan: What to run.
        work_dir: Folder of the rounds.
        pool: Images whose labels are known.
        launch: How the tools are started.
        options: The plan's options, as read.
        after: Called after each round that was run now.
    """

    plan: Plan
    work_dir: Path
    pool: Pool
    launch: Launch
    options: Optional[dict] = None
    after: Optional[Callable[[], None]] = None

    @cached_property
    def names(self) -> list[str]:
        """All that labels could be asked for."""
        return self.pool.names()

    @cached_property
    def steps(self) -> Steps:
        """How a round is trained and tested."""
        plan = self.plan
        flags = tuple(f'--{flag}' for flag in ('amp', 'deterministic') if getattr(plan, flag))
        return Steps(plan.config, self.launch, plan.options, self.options, flags)

    def run(self) -> list[Failed]:
        """Run what is not finished; a round that fails ends its strategy, the others go on.

        Returns:
            The rounds that failed.

        Raises:
            ValueError: If the pool is too small, or the folder holds rounds run otherwise.
        """
        self.plan.per_round(len(self.names))
        failed: dict[Path, Failed] = {}
        with locked(self.work_dir):
            keep_plan(self.plan, self.work_dir)
            for seed in self.plan.seeds:
                for strategy in self.plan.strategies:
                    self._run_strategy(strategy, seed, failed)
        return list(failed.values())

    def _run_strategy(self, strategy: str, seed: int, failed: dict[Path, Failed]) -> None:
        before = None
        for one in rounds_of(self.plan, strategy, seed, self.work_dir):
            if one.folder in failed:  # the start of a seed, which fails once
                return
            self._choose(one, before)
            was_finished = is_finished(one.run)
            problem = self._run_round(one, before)
            if self.after is not None and not was_finished:
                self.after()
            if problem is not None:
                failed[one.folder] = problem
                return
            before = one

    def _choose(self, one: Round, before: Optional[Round]) -> None:
        """Write the lists of a round and its data set file, which comes last."""
        if one.data_file.is_file():
            self._check_pool(one)
            return
        count = self.plan.per_round(len(self.names))
        labelled: list[str] = []
        if before is None:
            chosen = choose('random', Candidates(tuple(self.names)), count, seed=one.seed)
        else:
            labelled = before.names('labelled')
            chosen = self._chosen_by_strategy(one, before, count)
        every = [*labelled, *chosen]
        known = set(every)
        write_lines(one.folder / 'chosen.txt', chosen)
        write_lines(one.folder / 'labelled.txt', every)
        write_lines(one.folder / 'pool.txt', [name for name in self.names if name not in known])
        write_subset(self.pool, every, one.folder)

    def _check_pool(self, one: Round) -> None:
        if {*one.names('labelled'), *one.names('pool')} != set(self.names):
            raise ValueError(
                f'{one.folder}: its lists name other images than {self.plan.dataset} has now: give '
                'another --work-dir, or remove that folder'
            )

    def _chosen_by_strategy(self, one: Round, before: Round, count: int) -> list[str]:
        strategy, left = STRATEGIES[one.strategy], before.names('pool')
        announce(f'{one.title}: choose {count} of {len(left)}')
        candidates = Candidates(tuple(left))
        if strategy.score is not None:
            candidates = self.score(before, strategy)
        return choose(
            strategy.selector,
            candidates,
            count,
            seed=1000 * one.seed + one.number,
            progress=(one.number - 1) / max(self.plan.rounds - 2, 1),
        )

    def score(self, before: Round, strategy: Strategy) -> Candidates:
        """Score what a round has left, with its model."""
        labelled, left = before.names('labelled'), before.names('pool')
        model = load_model(
            self.plan.config,
            before.run.last_checkpoint(),
            cfg_options=self.options,
            dataset=before.data_file,
        )
        score = ScorePool(
            model,
            strategy.score or 'entropy',
            passes=self.plan.passes,
            regions=self.pool.regions,
            size=self.pool.size,
            seed=before.seed,
        )
        needed = [*left, *labelled] if strategy.with_labelled else left
        return without_labels(score(self.pool.images(needed)), set(labelled))

    def _run_round(self, one: Round, before: Optional[Round]) -> Optional[Failed]:
        """Train and test a round, as far as it is not done."""
        start = None
        if self.plan.warm_start and before is not None:
            start = before.run.last_checkpoint()
        problem = self.steps.run(one.run, one.data_file, one.title, seed=one.seed, start=start)
        return None if problem is None else Failed(one, *problem)
