"""Run the demo: make data, train, test, predict and report; finished steps are skipped.

Every step is a process that calls the tool that a user would call. Its output goes to a log file,
and its progress bar to the screen.
"""

import hashlib
import os
import re
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from mmengine.config import Config
from mmseg.registry import DATASETS

from ..core.files import read_json, short_path, sweep, write_json
from ..core.labels import evenly
from ..core.locks import LOCK_FILE, locked
from ..core.saved import final_name
from ..datasets.shapes_files import ShapesDataset
from .run.folder import RunFolder
from .run.launch import run_child

STAMP = 'demo.json'
NUM_IMAGES = 6
OWN_RUN = Path('work_dirs') / 'my_data'  # of the commands for one's own images


class StepError(RuntimeError):
    """A step of the demo failed; the message names the step and its log file."""


@dataclass(frozen=True)
class Step:
    """A command and the file that it makes; a step without a file always runs."""

    name: str
    command: list[str]
    product: Optional[Path] = None
    inputs: tuple[Path, ...] = ()
    is_whole: Callable[[], bool] = lambda: True

    def is_done(self) -> bool:
        """Say whether the product exists, is whole, and is not older than its inputs."""
        if self.product is None or not self.product.is_file() or not self.is_whole():
            return False
        made = self.product.stat().st_mtime
        return all(path.is_file() and path.stat().st_mtime <= made for path in self.inputs)


def lists_all(listing: Path, count: int) -> bool:
    """Say whether ``predictions.json`` lists all images; after a stopped run, some are missing."""
    try:
        return len(read_json(listing)['images']) == count
    except (ValueError, KeyError, TypeError):
        return False


def plan(cfg: Config, config: str, work_dir: Path, *, tools: Path) -> list[Step]:
    """List the steps of the demo.

    Args:
        cfg: The loaded config; ``tools/make_shapes.py`` makes its data set.
        config: File of the config.
        work_dir: Folder for all results.
        tools: Folder of the tools.
    """
    folder = RunFolder(work_dir)
    weights, listing = folder.weights / final_name(cfg.train_cfg), folder.listing_file
    root, variant = Path(cfg.test_dataloader.dataset.data_root), variant_of(cfg)

    def tool(name: str, *arguments: object) -> list[str]:
        return _command(tools, name, *arguments)

    return [
        Step('data', tool('make_shapes', '--out', root, '--variant', variant)),
        Step(
            'train',
            tool('train', config, '--work-dir', work_dir, '--resume'),
            weights,
            is_whole=lambda: folder.is_trained(cfg),
        ),
        Step(
            'test',
            tool('test', config, weights, '--work-dir', work_dir),
            folder.results_file(),
            (weights,),
            lambda: folder.tested_with() == weights.name,
        ),
        Step(
            'predict',
            tool('predict', config, weights, *images(cfg), '--out', folder.predictions),
            listing,
            (weights,),
            lambda: lists_all(listing, len(images(cfg))),
        ),
        Step('report', tool('report', work_dir, '--out', folder.page_file)),
    ]


def variant_of(cfg: Config) -> str:
    """Return the name of the variant of the data set shapes that a config tests on.

    Raises:
        ValueError: If it tests on other data.
    """
    name = cfg.test_dataloader.dataset.get('type')
    dataset = DATASETS.get(name) if isinstance(name, str) else name
    if not (isinstance(dataset, type) and issubclass(dataset, ShapesDataset)):
        raise ValueError(
            f'the demo makes the data set shapes, and the config tests on {name}: give a --config '
            'whose test_dataloader has the dataset ShapesDataset or Shapes7Dataset'
        )
    return dataset.VARIANT.name


def own_commands(config: str, *, tools: Path) -> list[str]:
    """Write the commands that do with one's own images what the demo did.

    Args:
        config: File of the config.
        tools: Folder of the tools.
    """
    return [
        shlex.join(_command(tools, *words))
        for words in (
            ('dataset', 'init', 'FOLDER'),
            ('train', config, '--dataset', 'my_data.yml', '--work-dir', OWN_RUN),
            ('predict', OWN_RUN, 'PHOTOS', '--out', 'predictions'),
        )
    ]


def _command(tools: Path, name: str, *arguments: object) -> list[str]:
    python = str(short_path(sys.executable))
    return [python, str(tools / f'{name}.py'), *map(str, arguments)]


def images(cfg: Config) -> list[Path]:
    """Choose test images at equal distances in the list, regardless of their content."""
    dataset = cfg.test_dataloader.dataset
    root = Path(dataset.data_root)
    listed = root / dataset.ann_file
    # The first step makes the list. After that step, the plan is made again.
    names = listed.read_text().split() if listed.is_file() else []
    folder = root / dataset.data_prefix.img_path
    return [folder / f'{name}.jpg' for name in evenly(names, NUM_IMAGES)]


def run_step(step: Step, title: str, logs: Path) -> None:
    """Run one step, with its progress bar on the screen and its output in a log file.

    Raises:
        StepError: If the step fails.
    """
    if step.is_done():
        print(f'{title}: done already, see {step.product}', flush=True)
        return
    print(f'{title}: {shlex.join(step.command)}', flush=True)
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f'{step.name}.log'
    env = {'MMSEG_EXT_PROGRESS': '1', 'PYTHONWARNINGS': 'ignore', **os.environ}
    with log.open('wb') as stream:
        code = run_child(step.command, stdout=stream, env=env)
    if code == 0 and (step.product is None or step.product.is_file()):
        return
    # The error itself was printed on the screen; the log shows what happened before it.
    raise StepError(f'the step "{step.name}" failed, see also {log}')


def check_ours(work_dir: Path) -> None:
    """Refuse a folder that the demo did not make. Writes nothing.

    Raises:
        ValueError: If the folder contains anything that is not from the demo.
    """
    if (work_dir / STAMP).is_file() or not work_dir.is_dir():
        return
    # files of a demo that was killed at its start
    begun = re.compile(rf'{re.escape(LOCK_FILE)}|\.{re.escape(STAMP)}\.\d+\.part')
    if not all(begun.fullmatch(path.name) for path in work_dir.iterdir()):
        raise ValueError(f'{work_dir} is not empty and not from this demo; give another --work-dir')


def put_aside(work_dir: Path, digest: str) -> None:
    """Rename the work folder if its results are from another version of the config."""
    if not (work_dir / STAMP).is_file() or _stamped(work_dir) in (digest, None):
        return
    aside = work_dir.with_name(f'{work_dir.name}_{time.strftime("%Y%m%d_%H%M%S")}')
    work_dir.rename(aside)
    print(f'the config has changed: earlier results are now in {aside}')


def _stamped(work_dir: Path) -> Optional[str]:
    """Return the hash of the config that was run in a folder; ``None`` if unreadable."""
    try:
        return read_json(work_dir / STAMP).get('config')
    except (ValueError, AttributeError):  # written before any result, so nothing is lost
        return None


def run_demo(config: str, work_dir: Path, *, tools: Path) -> RunFolder:
    """Run the steps that are not finished.

    Args:
        config: Config file.
        work_dir: Folder for all results.
        tools: Folder of the tools.

    Returns:
        The work folder, with results and report.

    Raises:
        FileNotFoundError: If the config does not exist.
        ValueError: If the config is not of the data set shapes, the work folder is not from a demo,
            or another demo uses it.
        StepError: If a step fails.
        Stopped: If a signal ended the demo and its running step.
    """
    if not Path(config).is_file():
        raise FileNotFoundError(f'config {config} does not exist')
    cfg = Config.fromfile(config)
    variant_of(cfg)  # before anything is written
    digest = hashlib.sha256(cfg.pretty_text.encode()).hexdigest()
    check_ours(work_dir)
    with locked(work_dir):
        put_aside(work_dir, digest)
    with locked(work_dir):
        check_ours(work_dir)
        for folder in RunFolder(work_dir).predictions.glob('**/'):  # left by a killed demo
            sweep(folder)
        write_json(work_dir / STAMP, dict(config=digest))
        for index in range(len(plan(cfg, config, work_dir, tools=tools))):
            steps = plan(cfg, config, work_dir, tools=tools)  # again: the images depend on the data
            title = f'[{index + 1}/{len(steps)}] {steps[index].name}'
            run_step(steps[index], title, work_dir / 'logs')
    return RunFolder(work_dir)
