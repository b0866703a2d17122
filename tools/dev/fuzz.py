"""Offer bad inputs of every kind to the tools, and judge strictly what they answer.

python tools/dev/fuzz.py --seed 0 --out work_dirs/fuzz             # all of it
python tools/dev/fuzz.py --only checkpoints --cases 50

Every tool runs in a fork of one process that has done the imports. An answer is right (exit status
0 where the input could be used), or clear: another exit status, one line that begins with
``error:`` and names the file or the setting, no traceback. All else is bad, and so are a hang, a
crash, memory without bound, a file outside of the output folder or half of one, code of an input
that ran, and an image that is missing because of its neighbours. Exit status 1 if anything is bad.
Linux only.
"""

import argparse
import collections
import gc
import html
import json
import os
import random
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib.pyplot  # noqa: F401  what follows is the work that all runs share
import numpy as np
import torch._dynamo  # noqa: F401

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fuzz_cases import MAKERS
from fuzz_cases.case import Case
from fuzz_cases.pictures import pictures
from fuzz_world import CLASSES, SIZE, Ended, World, build_world, run_tool

from mmseg_ext.apis import cli
from mmseg_ext.apis.draw.markdown import markdown_table
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.core.files import write_json
from mmseg_ext.core.reading import read_color
from mmseg_ext.datasets.folder import IMAGE_SUFFIXES

OUTCOMES = (
    'right', 'clear', 'unclear', 'silent', 'traceback', 'hang', 'crash', 'memory', 'outside',
    'half-written', 'ran code', 'lost',
)  # fmt: skip
GOOD = ('right', 'clear')
LIMIT_S = 90
MEMORY_MB = 1500  # beyond what the process has after its imports


@dataclass
class Verdict:
    """What a tool did with an input."""

    kind: str
    name: str
    tool: str
    outcome: str
    words: str
    seconds: float
    peak: float


# ------------------------------------------------------------------------------- judging


def judge(case: Case, tool: str, ended: Ended, peak: float) -> str:
    """Outcome of one run, by what it printed."""
    if ended.code is None:
        return 'hang'
    if ended.code < 0:
        return 'crash'
    if 'Traceback (most recent call last)' in ended.err + ended.out:
        return 'traceback'
    if ended.peak > peak + MEMORY_MB:
        return 'memory'
    if ended.code == 0:
        return 'silent' if case.broken and tool not in case.lenient else 'right'
    return 'clear' if is_clear(tool, ended, case.names) else 'unclear'


def is_clear(tool: str, ended: Ended, names: Sequence[str]) -> bool:
    """Whether there is one line of error, with what follows indented, that names what is wrong."""
    lines = ended.err.splitlines()
    places = [n for n, line in enumerate(lines) if re.match(r'(\w+\.py: )?error:', line)]
    if tool == 'dataset' and not places:  # a report of what is wrong with the data
        found = re.findall(r'ERROR: .+\n  (.+)', ended.out)
        return any(name in line for line in found for name in (*names, 'images', 'masks'))
    if len(places) != 1:
        return False
    said = [lines[places[0]]]
    for line in lines[places[0] + 1 :]:
        if not line.startswith('  '):
            break
        said.append(line)
    return len(said[0]) < 2000 and any(name in line for name in names for line in said)


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything below a folder but what is in ``out``, with size and time."""
    found = {}
    for place, folders, files in os.walk(folder):
        if Path(place) == folder and 'out' in folders:
            folders.remove('out')
        for name in (*files, *folders):
            path = os.path.join(place, name)
            if name in (
                RunFolder('.').folds_file.name,
                '.lock',
            ):  # a cross validation writes into its folder
                continue
            state = os.lstat(path)
            found[path] = (state.st_size, 0 if name in folders else state.st_mtime_ns)
    return found


def damage(before: dict, folder: Path) -> str:
    """Whether a run left files where none belong, or half of one."""
    after = files_of(folder)
    if any(name.endswith('MARK') for name in after) or list(folder.rglob('MARK')):
        return 'ran code'
    changed = {name for name in after if before.get(name) != after[name]} | (
        set(before) - set(after)
    )
    if changed:
        return 'outside'
    for path in (folder / 'out').rglob('*'):
        if path.name.endswith('.part') or path.name.startswith('.unpack'):
            return 'half-written'
        if path.suffix == '.json' and path.is_file() and not is_json(path):
            return 'half-written'
    return ''


def is_json(path: Path) -> bool:
    """Whether a file that a tool wrote is whole: JSON, or JSON by the line."""
    text = path.read_text(errors='replace')
    try:
        for part in [text] if path.name != 'scalars.json' else text.splitlines():
            json.loads(part)
    except ValueError:
        return 'vis_data' in path.parts  # mmengine's own, a line for each record
    return True


def run_case(world: World, case: Case, number: int, peak: float) -> list[Verdict]:
    """Write an input and give it to its tools, each in a folder of its own."""
    folder = world.root / 'cases' / str(number)
    folder.mkdir(parents=True)
    case.write(folder)
    verdicts = []
    for tool, words in case.runs(folder):
        shutil.rmtree(folder / 'out', ignore_errors=True)
        (folder / 'out').mkdir()
        before = files_of(folder)
        ended = run_tool(tool, words, folder, limit=LIMIT_S)
        outcome = damage(before, folder) or judge(case, tool, ended, peak)
        said = (ended.err if outcome not in ('right', 'silent') else '')[-1500:]
        verdicts.append(
            Verdict(case.kind, case.name, tool, outcome, said, ended.seconds, ended.peak)
        )
        if outcome not in GOOD:
            print(f'{outcome}: {tool}, {case.kind}: {case.name} (case {number})', flush=True)
            print('    ' + '\n    '.join(said.strip().splitlines()[-4:])[:900], flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    return verdicts


# ------------------------------------------------------------------------------ pictures


def run_pictures(world: World, rng: random.Random, peak: float, limit: int) -> list[Verdict]:
    """Give all image files to predict and to check at once, some to train and test alone."""
    every = list(pictures(rng).items())
    found = dict(rng.sample(every, min(limit, len(every))))
    verdicts = predict_pictures(world, found, peak)
    verdicts += check_pictures(world, found, peak, as_masks=False)
    verdicts += check_pictures(world, found, peak, as_masks=True)
    names = [name for name in found if _is_plain(name) and name.endswith(IMAGE_SUFFIXES)]
    for number, name in enumerate(rng.sample(names, min(30, len(names)))):
        verdicts += train_picture(world, name, found[name], peak, number)
    return verdicts


def write_pictures(folder: Path, found: dict) -> None:
    """Write image files, and what is no file at all."""
    folder.mkdir(parents=True)
    for name, (content, _) in found.items():
        (folder / name).write_bytes(content)
    os.mkfifo(folder / 'pipe.png')
    (folder / 'folder.png').mkdir()
    (folder / 'dangling.png').symlink_to('nothing.png')
    (folder / 'film.mp4').write_bytes(b'film')


def predict_pictures(world: World, found: dict, peak: float) -> list[Verdict]:
    """Predict a folder: each image is predicted in its size, or named as failed."""
    folder = world.root / 'cases/predict'
    write_pictures(folder / 'in', found)
    (folder / 'out').mkdir()
    before = files_of(folder)
    words = [world.config, world.weights, folder / 'in', '--out', folder / 'out']
    ended = run_tool('predict', words, folder, limit=600)
    whole = damage(before, folder) or judge(_case('image', '', ()), 'predict', ended, peak)
    if whole not in ('unclear', 'clear', 'silent'):
        print(f'{whole}: predict of all images\n{ended.err[-2000:]}', flush=True)
        return [
            Verdict('image', 'all', 'predict', whole, ended.err[-900:], ended.seconds, ended.peak)
        ]
    listing = json.loads((folder / 'out/predictions.json').read_text())
    done = {entry['image']: entry['mask'] for entry in listing['images']}
    failed = {entry['image']: entry['reason'] for entry in listing['failed']}
    verdicts = []
    for name, (_, broken) in found.items():
        path = folder / 'in' / name
        outcome = _of_prediction(path, done, failed, folder / 'out', broken)
        verdicts.append(
            Verdict('image', name, 'predict', outcome, failed.get(str(path), ''), 0, ended.peak)
        )
    return _told(verdicts)


def _of_prediction(path: Path, done: dict, failed: dict, out: Path, broken: bool) -> str:
    image = str(path)
    if image in failed:
        lines = failed[image].splitlines()
        return (
            'clear'
            if path.name in failed[image] and len(lines) == 1 + image.count('\n')
            else 'unclear'
        )
    if image not in done or list(done.values()).count(done[image]) != 1:
        return 'lost'
    mask = cv2.imdecode(np.fromfile(out / done[image], np.uint8), cv2.IMREAD_UNCHANGED)
    size = read_color(image).shape[:2]
    return 'silent' if broken or mask is None or mask.shape[:2] != size else 'right'


def check_pictures(world: World, found: dict, peak: float, *, as_masks: bool) -> list[Verdict]:
    """Check a data set of these files: each broken one is named on the page."""
    kind = 'mask' if as_masks else 'image'
    folder = world.root / f'cases/check_{kind}'
    (folder / 'data/images').mkdir(parents=True)
    (folder / 'data/masks').mkdir()
    (folder / 'out').mkdir()
    ends = ('.png', '.tif', '.bmp', '.gif') if as_masks else IMAGE_SUFFIXES
    named = {name: found[name] for name in found if _is_plain(name) and name.endswith(ends)}
    stems = {}
    for number, (name, (content, _)) in enumerate(named.items()):
        stem = f'{number:03}_{Path(name).stem}'
        stems[name] = f'{stem}{Path(name).suffix}'
        place, other = ('masks', 'images') if as_masks else ('images', 'masks')
        (folder / 'data' / place / stems[name]).write_bytes(content)
        blank = np.zeros((SIZE, SIZE), np.uint8)
        cv2.imwrite(str(folder / 'data' / other / f'{stem}.png'), blank)
    shutil.copytree(world.data, folder / 'val')  # of its own: no image is in both, and so named
    text = '\n'.join(f'- {{name: {name}, value: {k}}}' for k, name in enumerate(CLASSES))
    places = dict(train='', val='../val/')
    parts = '\n'.join(
        f'{part}: {{images: {place}images, masks: {place}masks}}' for part, place in places.items()
    )
    (folder / 'data/my_data.yml').write_text(f'name: odd\nclasses:\n{text}\n{parts}\n')
    before = files_of(folder)
    page = folder / 'out/check.html'
    ended = run_tool(
        'dataset', ['check', folder / 'data/my_data.yml', '--out', page], folder, limit=600
    )
    whole = damage(before, folder) or judge(_case(kind, '', ('odd',)), 'dataset', ended, peak)
    if whole not in ('unclear', 'clear', 'silent') or not page.is_file():
        print(f'{whole}: check of all {kind}s\n{ended.err[-2000:]}', flush=True)
        outcome = whole if whole not in (*GOOD, 'silent') else 'unclear'
        return [Verdict(kind, 'all', 'check', outcome, ended.err[-900:], ended.seconds, ended.peak)]
    shown = html.unescape(page.read_text())
    verdicts = []
    for name, (_, broken) in named.items():
        told = stems[name] in shown
        outcome = 'clear' if told else 'silent' if broken else 'right'
        verdicts.append(Verdict(kind, name, 'check', outcome, '', 0, ended.peak))
    return _told(verdicts)


def _is_plain(name: str) -> bool:
    """Whether a name may stand in a data set beside a number: not as long as a name can be."""
    return len(os.fsencode(name)) < 200 and '\n' not in name and '\udcff' not in name


def train_picture(
    world: World, name: str, content: tuple[bytes, bool], peak: float, number: int
) -> list[Verdict]:
    """Train and test on the one image."""

    def write(folder: Path) -> None:
        for part in ('images', 'masks'):
            (folder / 'data' / part).mkdir(parents=True)
        (folder / 'data/images' / name).write_bytes(content[0])
        blank = np.zeros((SIZE, SIZE), np.uint8)
        cv2.imwrite(str(folder / 'data/masks' / f'{Path(name).stem}.png'), blank)

    def runs(folder: Path) -> list[tuple[str, list[object]]]:
        options = ['--cfg-options', 'max_iters=1', 'train_dataloader.batch_size=2']
        options += [f'{part}_dataloader.dataset.data_root={folder / "data"}' for part in
                    ('train', 'val', 'test')]  # fmt: skip
        out = folder / 'out'
        return [
            ('train', [world.config, '--work-dir', out / 'train', *options]),
            ('test', [world.config, world.weights, '--work-dir', out / 'test', *options]),
        ]

    names = (name, Path(name).stem)
    return run_case(
        world, Case('image', name, write, runs, names, content[1]), 10000 + number, peak
    )


def _case(kind: str, name: str, names: Sequence[str]) -> Case:
    return Case(kind, name, lambda folder: None, lambda folder: [], names)


def _told(verdicts: list[Verdict]) -> list[Verdict]:
    for verdict in verdicts:
        if verdict.outcome not in GOOD:
            print(f'{verdict.outcome}: {verdict.tool}, {verdict.kind}: {verdict.name!r} '
                  f'{verdict.words[:300]}', flush=True)  # fmt: skip
    return verdicts


# ------------------------------------------------------------------------------- the rest


def table(verdicts: Sequence[Verdict]) -> str:
    """Count outcomes by kind of input and tool, as Markdown."""
    counts: dict[tuple[str, str], collections.Counter] = {}
    for verdict in verdicts:
        place = counts.setdefault((verdict.kind, verdict.tool), collections.Counter())
        place[verdict.outcome] += 1
    names = {'clear': 'one clear line', 'silent': 'accepted', 'lost': 'lost'}
    head = ['input', 'tool', 'runs', *(names.get(outcome, outcome) for outcome in OUTCOMES)]
    lines = []
    total: collections.Counter = collections.Counter()
    for (kind, tool), found in counts.items():
        total += found
        numbers = [found[outcome] for outcome in OUTCOMES]
        lines.append([kind, tool, str(sum(found.values())), *map(str, numbers)])
    numbers = [total[outcome] for outcome in OUTCOMES]
    lines.append(['all', '', str(sum(total.values())), *map(str, numbers)])
    return '\n'.join(markdown_table(head, lines))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--cases', type=int, help='of each kind, drawn at random; default: all')
    parser.add_argument('--only', choices=['pictures', *MAKERS], action='append', default=[])
    parser.add_argument('--match', default='', help='only cases whose name holds this')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/fuzz'), help='scratch folder')
    return cli.parse_args(parser)


def choose(world: World, args: argparse.Namespace) -> list[Case]:
    """Cases of the kinds that were asked for."""
    found: list[Case] = []
    for name, make in MAKERS.items():
        if args.only and name not in args.only:
            continue
        rng = random.Random(f'{args.seed} {name}')
        cases = [case for case in make(world, rng) if args.match in case.name]
        found += cases if args.cases is None else rng.sample(cases, min(args.cases, len(cases)))
    return found


def main() -> int:
    args = parse_args()
    started = time.monotonic()
    gc.freeze()  # what is imported is no garbage: the forks need not look at it again
    world = build_world(args.out.absolute())
    peak = run_tool('report', ['--help'], world.root).peak
    cases = choose(world, args)
    verdicts: list[Verdict] = []
    inputs = len(cases)
    if not args.only or 'pictures' in args.only:
        verdicts += run_pictures(world, random.Random(args.seed), peak, args.cases or 10**6)
        inputs += len({(v.kind, v.name) for v in verdicts})
    for number, case in enumerate(cases):
        verdicts += run_case(world, case, number, peak)
    bad = [verdict for verdict in verdicts if verdict.outcome not in GOOD]
    minutes = (time.monotonic() - started) / 60
    highest = max((verdict.peak for verdict in verdicts), default=0)
    print(f'\n{table(verdicts)}\n')
    print(
        f'{inputs} bad inputs, {len(verdicts)} runs in {minutes:.1f} minutes, seed {args.seed}: '
        f'{len(bad)} bad; at most {highest:.0f} MB, of which the imports take {peak:.0f}'
    )
    result: dict[str, Any] = dict(
        seed=args.seed, inputs=inputs, bad=len(bad), verdicts=[asdict(v) for v in verdicts]
    )
    write_json(args.out / 'fuzz.json', result)
    return 1 if bad else 0


if __name__ == '__main__':
    cli.run_tool(main)
