"""What the fuzzer breaks: a small data set, a config, a trained, tested and predicted run."""

import os
import resource
import runpy
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import cv2
import numpy as np
from tiny_model import TINY_MODEL

from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.core.files import read_json, write_json

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ('sky', 'tree', 'road')
SIZE = 48

CONFIG = (
    """
_base_ = [{runtime!r}, {schedule!r}]
"""
    + TINY_MODEL
    + """\
data = dict(
    type='FolderDataset', data_root={data!r},
    data_prefix=dict(img_path='images', seg_map_path='masks'),
    metainfo=dict(classes=('sky', 'tree', 'road'), palette=[[0, 0, 255], [0, 255, 0], [9, 9, 9]]))
load = [dict(type='LoadImageFromFile'), dict(type='LoadLabels')]
crop = [dict(type='RandomCrop', crop_size=crop_size), dict(type='RandomFlip', prob=0.5)]
pack = [dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=load + crop + pack, **data))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=load + pack, **data))
test_dataloader = val_dataloader
val_evaluator = dict(type='SegMetric')
test_evaluator = val_evaluator
train_cfg = dict(max_iters=2, val_interval=2)
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=2, by_epoch=False)]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))
"""
)

TABLES = """
protocol: {dataset: FolderDataset, seeds: [0], checkpoint: best}
tables:
  1:
    caption: Two rows
    metrics: [mIoU, aAcc]
    baseline: first
    rows:
      - label: first
        config: tiny
        printed: {mIoU: 50.0, aAcc: 60.0}
      - label: second
        config: other
        note: a note
"""


@dataclass(frozen=True)
class World:
    """Where everything lies.

    Args:
        root: Folder of all of it; the cases lie in ``cases`` below.
    """

    root: Path

    @property
    def data(self) -> Path:
        """Images, masks, lists and ``my_data.yml``."""
        return self.root / 'data'

    @property
    def config(self) -> Path:
        """The config of the run."""
        return self.root / 'papers/tiny/tiny.py'

    @property
    def run(self) -> Path:
        """The work folder of the run."""
        return self.root / 'runs/tiny_seed0'

    @property
    def weights(self) -> Path:
        """Its last checkpoint."""
        return self.run / 'iter_2.pth'

    @property
    def folds(self) -> Path:
        """A cross validation of two folds."""
        return self.root / 'folds'

    @property
    def predictions(self) -> Path:
        """What predict has written, with probabilities."""
        return self.run / 'predictions'


@dataclass(frozen=True)
class Ended:
    """How a tool ended.

    Args:
        code: Exit status; of a signal, negative; ``None`` if it was stopped for its time.
        out: Standard output.
        err: Standard error.
        seconds: Wall clock.
        peak: Most memory, in MB.
    """

    code: Optional[int]
    out: str
    err: str
    seconds: float
    peak: float


def run_tool(
    name: str, words: Sequence[object], folder: Path, *, limit: float = 120, memory: int = 0
) -> Ended:
    """Run a tool in a fork of this process, which has done the imports.

    Args:
        name: Of the tool, such as ``'train'``.
        words: Its arguments.
        folder: Where it runs; its output goes there, too.
        limit: Seconds after which it is killed.
        memory: Bytes of address space that it may take beyond what it starts with; 0: no bound.
    """
    files = [folder / f'.{name}.{end}' for end in ('out', 'err')]
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(name, [str(word) for word in words], folder, files, memory)
    status: Optional[int] = None
    ended = 0
    while not ended and time.monotonic() - started < limit:
        ended, code, used = os.wait4(child, os.WNOHANG)
        time.sleep(0.01)
    if ended:
        status = os.waitstatus_to_exitcode(code)
    else:
        os.killpg(child, signal.SIGKILL)
        _, _, used = os.wait4(child, 0)
    texts = [file.read_text(errors='replace') for file in files]
    for file in files:
        file.unlink()
    return Ended(status, *texts, time.monotonic() - started, used.ru_maxrss / 1024)


def _become(name: str, words: list[str], folder: Path, files: Sequence[Path], memory: int) -> None:
    os.setsid()
    for stream, file in zip((1, 2), files):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(folder)
    if memory:
        pages = int(Path('/proc/self/statm').read_text().split()[0])
        most = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    path = ROOT / 'tools' / f'{name}.py'
    sys.argv = [str(path), *words]
    code = 1
    try:
        runpy.run_path(str(path), run_name='__main__')
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def build_world(root: Path) -> World:
    """Write the data, train, test and predict; raise if one of these fails."""
    world = World(root)
    shutil.rmtree(root, ignore_errors=True)
    write_data(world.data)
    world.config.parent.mkdir(parents=True)
    bases = ROOT / 'configs/_base_'
    settings = dict(
        runtime=str(bases / 'default_runtime.py'),
        schedule=str(bases / 'schedules/sgd_poly.py'),
        data=str(world.data),
    )
    world.config.write_text(CONFIG.format(classes=len(CLASSES), **settings))
    world.config.with_name('other.py').write_text("_base_ = './tiny.py'\n")
    world.config.with_name('tables.yml').write_text(TABLES)
    world.config.with_name('README.md').write_text('# Tiny\n')
    (root / 'cases').mkdir()
    work = ['--work-dir', world.run]
    _must(run_tool('train', [world.config, *work, '--seed', 0], root))
    _must(run_tool('test', [world.config, world.weights, *work], root))
    settle(RunFolder(world.run).results_file())
    photos = [world.data / 'images/0.png', world.data / 'images/1.png']
    words = [world.config, world.weights, *photos, '--out', world.predictions, '--prob']
    _must(run_tool('predict', words, root))
    for fold in (0, 1):
        words = ['--fold', fold, '--num-folds', 2, '--work-dir', world.folds]
        _must(run_tool('train', [world.config, *words, '--seed', 0], root))
        last = world.folds / f'fold{fold}/iter_2.pth'
        _must(run_tool('test', [world.config, last, *words], root))
        settle(RunFolder(world.folds).fold(fold).results_file())
    _must(run_tool('kfold', fold_words(world, world.folds), root))
    return world


def settle(path: Path) -> None:
    """Write the same day, commit and machine into any results: what is broken is the same then."""
    made = dict(commit='0' * 40, dirty=False, date='2026-01-01', hardware='any', torch='any')
    write_json(path, {**read_json(path), **made})


def fold_words(world: World, folder: Path) -> list[object]:
    """Arguments that sum up a cross validation."""
    return [world.config, '--num-folds', 2, '--work-dir', folder, '--report']


def _must(ended: Ended) -> None:
    if ended.code != 0:
        raise RuntimeError(f'the unbroken run failed:\n{ended.out[-3000:]}\n{ended.err[-3000:]}')


def write_data(folder: Path, count: int = 6) -> None:
    """Images whose brightness tells the class, their masks, lists and a data set file."""
    random = np.random.default_rng(0)
    for part in ('images', 'masks'):
        (folder / part).mkdir(parents=True)
    for index in range(count):
        coarse = random.integers(0, 3, (6, 6))
        mask = np.repeat(np.repeat(coarse, SIZE // 6, 0), SIZE // 6, 1)
        image = mask[..., None] * 90 + random.integers(0, 40, (SIZE, SIZE, 3))
        cv2.imwrite(str(folder / f'images/{index}.png'), image.astype(np.uint8))
        cv2.imwrite(str(folder / f'masks/{index}.png'), mask.astype(np.uint8))
    (folder / 'train.txt').write_text(''.join(f'{index}\n' for index in range(count - 2)))
    (folder / 'val.txt').write_text(''.join(f'{index}\n' for index in (count - 2, count - 1)))
    groups = ''.join(f'{index},p{index // 2}\n' for index in range(count))
    (folder / 'groups.csv').write_text(f'stem,group\n{groups}')
    (folder / 'my_data.yml').write_text(DATA_FILE)


DATA_FILE = """\
name: small
root: .
masks: values
classes:
- {name: sky, value: 0, color: [0, 0, 255]}
- {name: tree, value: 1, color: [0, 255, 0]}
- {name: road, value: 2, color: [9, 9, 9]}
ignore_value: 255
group_file: groups.csv
train: {images: images, masks: masks, list: train.txt}
val: {images: images, masks: masks, list: val.txt}
"""
