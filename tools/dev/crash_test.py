"""Kill train, kfold, table and demo, run them again, compare with what they do undisturbed.

python tools/dev/crash_test.py --kills 100 --seed 0 --out work_dirs/crash
python tools/dev/crash_test.py --kills 12 --only train

Every kill is SIGKILL: at random times, in the middle of a validation, and around each write of each
kind of file; of the tool, of the training or test that it has started, or of both. Then the same
command runs again (train with --resume), and its weights, optimiser states, scores and choice of
checkpoints are compared with an undisturbed run's, bit for bit. Linux only.
"""

import argparse
import collections
import contextlib
import gc
import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Optional

import matplotlib.pyplot  # noqa: F401  what follows is the work that all runs share
import torch
import torch._dynamo  # noqa: F401

sys.path.insert(0, str(Path(__file__).resolve().parent))

from crashing import ROOT, Plan, run_tool
from left_state import difference, state_of
from tiny_model import TINY_MODEL

from mmseg_ext.datasets.shapes_files import write_shapes

TOOLS = ('train', 'kfold', 'table', 'demo')
SHARES = dict(train=0.4, kfold=0.2, table=0.2, demo=0.2)
LIMIT_S = 300

CONFIG = (
    """
_base_ = [{runtime!r}, {schedule!r}, {shapes!r}]
"""
    + TINY_MODEL
    + """\
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadLabels'),
    dict(type='RandomCrop', crop_size=crop_size), dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')]
few = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(
    batch_size=2, **few,
    dataset=dict(data_root={data!r}, ann_file={train!r}, pipeline=train_pipeline))
val_dataloader = dict(**few, dataset=dict(data_root={data!r}, ann_file={val!r}))
test_dataloader = val_dataloader
randomness = dict(seed=1)
custom_hooks = [dict(type='IterSeedHook')]
train_cfg = dict(max_iters=8, val_interval=3)
optim_wrapper = dict(optimizer=dict(lr=0.05))
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=8, by_epoch=False)]
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(interval=2, max_keep_ckpts=1, save_best='mIoU'))
"""
)
TABLES = """
protocol: {dataset: ShapesDataset, images: 4, seeds: [1], checkpoint: best}
tables:
  1:
    caption: a tiny network
    metrics: [mIoU]
    rows:
      - {label: Tiny, config: tiny}
"""


@dataclass
class Trial:
    """One kill, and what came of it."""

    tool: str
    kind: str
    victim: str
    process: str = ''
    place: int = 0
    moment: float = 0.0
    killed: bool = False
    resumed: bool = False
    equal: bool = False
    note: str = ''


class Bench:
    """Folders, commands, and the undisturbed runs."""

    def __init__(self, folder: Path, num_images: int = 300) -> None:
        self.folder = folder.resolve()
        shutil.rmtree(self.folder, ignore_errors=True)
        data = self.folder / 'shapes'
        write_shapes(data, num=num_images)
        lists = {}
        for part, count in (('train', 10), ('val', 4)):
            names = (data / f'ImageSets/Segmentation/{part}.txt').read_text().split()[:count]
            lists[part] = self.folder / f'{part}.txt'
            lists[part].write_text(''.join(f'{name}\n' for name in names))
        bases = ROOT / 'configs/_base_'
        paper = self.folder / 'configs/toy'
        paper.mkdir(parents=True)
        self.config = paper / 'tiny.py'
        self.config.write_text(
            CONFIG.format(
                classes=21,
                runtime=str(bases / 'default_runtime.py'),
                schedule=str(bases / 'schedules/sgd_poly.py'),
                shapes=str(bases / 'datasets/shapes.py'),
                data=str(data),
                **{part: str(path) for part, path in lists.items()},
            )
        )
        (paper / 'tables.yml').write_text(TABLES)
        self.states: dict[str, dict] = {}
        self.places: dict[str, list[tuple[str, int, str, str]]] = {}
        self.seconds: dict[str, float] = {}

    def command(self, tool: str, work: Path, *, again: bool) -> list[str]:
        """The tool's documented command, to begin or to go on."""
        path = str(ROOT / f'tools/{tool}.py')
        same = ['--seed', '1', '--deterministic']
        if tool == 'train':
            more = ['--resume'] if again else []
            return [path, str(self.config), '--work-dir', str(work), *same, *more]
        if tool == 'kfold':
            return [path, str(self.config), '--work-dir', str(work), '--num-folds', '2', *same]
        if tool == 'table':
            where = ['--configs', str(self.config.parents[1]), '--work-dirs', str(work)]
            return [path, 'toy', '1', *where, '--deterministic']
        return [path, '--config', str(self.config), '--work-dir', str(work)]

    def observe(self, tool: str) -> None:
        """Run a tool undisturbed, and note what it leaves and which places it passes."""
        work, record = self.folder / tool / 'undisturbed', self.folder / tool / 'places.txt'
        plan = Plan(str(work), record=str(record))
        started = time.monotonic()
        status = finish(start(self.command(tool, work, again=False), plan, work), LIMIT_S)
        self.seconds[tool] = time.monotonic() - started
        if status != 0:
            text = log_of(work).read_text()
            raise SystemExit(f'error: {tool} failed without any kill ({status}):\n{text[-3000:]}')
        self.states[tool] = state_of(work)
        lines = [line.split() for line in record.read_text().splitlines()]
        self.places[tool] = [
            (line[0], int(line[1]), ' '.join(line[2:-1]), line[-1]) for line in lines
        ]

    def try_out(self, trial: Trial, number: int) -> None:
        """Run, kill, run again, compare."""
        work = self.folder / trial.tool / f'{number:03}'
        plan = Plan(str(work), trial.process, trial.place, trial.victim)
        child = start(self.command(trial.tool, work, again=False), plan, work)
        if trial.kind == 'random':
            trial.killed = kill_after(child, trial.moment * self.seconds[trial.tool], trial.victim)
        status = finish(child, LIMIT_S)
        trial.killed = trial.killed or status == -signal.SIGKILL or trial.victim == 'self'
        wait_for_group(child)
        again = start(self.command(trial.tool, work, again=True), Plan(str(work)), work)
        status = finish(again, LIMIT_S)
        trial.resumed = status == 0
        if not trial.resumed:
            trial.note = f'status {status}: {last_line(log_of(work))}'
        else:
            trial.note = difference(self.states[trial.tool], state_of(work))
        trial.equal = trial.resumed and not trial.note
        if trial.equal:
            shutil.rmtree(work)


def log_of(work: Path) -> Path:
    return work.with_suffix('.txt')


def start(command: list[str], plan: Plan, work: Path) -> int:
    """Fork a tool into a process group of its own; its text goes beside the work folder."""
    work.parent.mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if child == 0:
        os.setsid()
        text = os.open(log_of(work), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(text, 1)
        os.dup2(text, 2)
        run_tool(command, plan, f'{Path(command[0]).stem}#0')
    return child


def finish(child: int, seconds: float) -> int:
    """Wait for a process; it is killed, with its group, when it takes too long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGALRM


def kill_after(child: int, seconds: float, victim: str) -> bool:
    """Kill a tool, its child or both at a moment; whether there was something to kill."""
    time.sleep(seconds)
    targets = {'self': [child], 'all': [child], 'parent': [child]}[victim]
    if victim == 'self':
        targets = children_of(child) or targets
    try:
        for target in targets:
            (os.killpg if victim == 'all' else os.kill)(target, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def children_of(parent: int) -> list[int]:
    """Processes that a process has started."""
    with open(f'/proc/{parent}/task/{parent}/children') as stream:
        return [int(word) for word in stream.read().split()]


def wait_for_group(leader: int) -> None:
    """Let a training that has lost its parent save its step and end."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until and any(map(_is_alive, _group(leader))):
        time.sleep(0.02)


def _group(leader: int) -> list[str]:
    found = []
    for path in Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(')')[2].split()
            if int(fields[2]) == leader:
                found.append(fields[0])
    return found


def _is_alive(state: str) -> bool:
    return state != 'Z'  # in a container nobody may collect what has ended


def last_line(path: Path) -> str:
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    return lines[-1][:300] if lines else ''


def choose_trials(
    bench: Bench, tool: str, count: int, chance: random.Random, only: Optional[list[str]] = None
) -> list[Trial]:
    """A third at random times, the rest around the writes of each kind of file in turn.

    ``only`` names the kinds to take instead, in turn.
    """
    victims = ['self'] if tool == 'train' else ['self', 'parent', 'all']
    kinds: dict[str, list] = collections.defaultdict(list)
    for process, place, what, name in bench.places[tool]:
        kinds['validation' if what == 'validation' else f'writing {name}'].append((process, place))
    for places in kinds.values():
        chance.shuffle(places)
    named = sorted(kinds)
    order = itertools.cycle(
        only or [kind for i in range(0, len(named), 2) for kind in ('random', *named[i : i + 2])]
    )
    unknown = set(only or ()) - {'random', *kinds}
    if unknown:
        raise SystemExit(f'error: {tool} has no {sorted(unknown)}; it has random, {named}')
    trials: list[Trial] = []
    while len(trials) < count:
        kind, victim = next(order), chance.choice(victims)
        if kind == 'random':
            trials.append(Trial(tool, kind, victim, moment=chance.uniform(0.02, 0.98)))
        elif kinds[kind]:
            process, place = kinds[kind].pop()
            own = process.startswith(tool)  # the tool itself is at work: it has no child then
            trials.append(Trial(tool, kind, 'all' if own and victim == 'parent' else victim,
                                process, place))  # fmt: skip
    return trials


def table_of(trials: list[Trial]) -> Iterator[str]:
    """Lines of a table: kind of kill, tool, trials, resumed, equal."""
    names = dict(self='the process', parent='its parent', all='both')
    rows: dict[tuple[str, str], list[Trial]] = collections.defaultdict(list)
    for trial in trials:
        who = '' if trial.tool == 'train' else f', of {names[trial.victim]}'
        at = 'at a random time' if trial.kind == 'random' else f'in {trial.kind}'
        rows[trial.tool, at.replace('in validation', 'in a validation') + who].append(trial)
    yield '| tool | killed | trials | resumed | equal |'
    yield '|---|---|---|---|---|'
    for (tool, kind), group in sorted(rows.items(), key=lambda row: TOOLS.index(row[0][0])):
        yield f'| {tool} | {kind} | {_counts(group)} |'
    yield f'| all | | {_counts(trials)} |'


def _counts(trials: list[Trial]) -> str:
    return f'{len(trials)} | {sum(t.resumed for t in trials)} | {sum(t.equal for t in trials)}'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--kills', type=int, default=100, help='how many')
    parser.add_argument('--seed', type=int, default=0, help='of the choice of places and moments')
    parser.add_argument('--only', choices=TOOLS, help='only this tool')
    parser.add_argument(
        '--kind', action='append',
        help="only this kind of kill, or these: random, validation, 'writing iter_*.pth', ...",
    )  # fmt: skip
    parser.add_argument('--out', default='work_dirs/crash', help='folder; it is emptied first')
    return parser.parse_args()


def run(
    kills: int, seed: int, only: Optional[str], kinds: Optional[list[str]], out: Path
) -> list[Trial]:
    """Run all trials; those that are not equal keep their folders."""
    bench = Bench(out, 20 if only == 'train' else 300)  # the demo makes all of them itself
    chance = random.Random(seed)
    trials: list[Trial] = []
    for tool in [only] if only else TOOLS:
        bench.observe(tool)
        count = kills if only else round(kills * SHARES[tool])
        trials += choose_trials(bench, tool, count, chance, kinds)
    for number, trial in enumerate(trials):
        bench.try_out(trial, number)
        print(
            f'{number + 1}/{len(trials)} {trial.tool}: {trial.kind}, {trial.victim}, '
            f'{trial.process} {trial.place or round(trial.moment, 2)}: '
            f'{"equal" if trial.equal else trial.note}',
            flush=True,
        )
    return trials


def main() -> int:
    args = parse_args()
    gc.freeze()  # what is imported is no garbage
    torch.set_num_threads(1)
    started = time.monotonic()
    trials = run(args.kills, args.seed, args.only, args.kind, Path(args.out))
    print('\n' + '\n'.join(table_of(trials)))
    print(f'\n{(time.monotonic() - started) / 60:.1f} minutes')
    result = dict(seed=args.seed, trials=[asdict(trial) for trial in trials])
    Path(args.out, 'crash.json').write_text(json.dumps(result, indent=1))
    return 0 if all(trial.equal for trial in trials) else 1


if __name__ == '__main__':
    sys.exit(main())
