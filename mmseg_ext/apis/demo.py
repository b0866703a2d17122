"""The steps of the demo: data, training, test, prediction, report, each only when it is needed.

Every step is a process that calls the tool a user would call; its text goes to a log file, its
progress bar to the screen.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

from mmengine.config import Config

from mmseg_ext.core.files import write_json

STAMP = 'demo.json'
NUM_IMAGES = 6


class StepError(RuntimeError):
    """A step of the demo failed; the message names it and its log."""


def short_path(path: object) -> Path:
    """Write a path below the current folder as a user would type it."""
    relative = os.path.relpath(str(path))
    return Path(str(path) if relative.startswith('..') else relative)


@dataclass(frozen=True)
class Step:
    """One command, and the file that its success leaves; without one it always runs.

    ``mention`` is what that file must end with: mmengine names a checkpoint in ``last_checkpoint``
    once it is written whole.
    """

    name: str
    command: List[str]
    product: Optional[Path] = None
    inputs: Tuple[Path, ...] = ()
    mention: str = ''

    def is_done(self) -> bool:
        """Whether the product is there and not older than what it is made from."""
        if self.product is None or not self.product.is_file():
            return False
        if self.mention and not self.product.read_text().strip().endswith(self.mention):
            return False
        made = self.product.stat().st_mtime
        return all(path.is_file() and path.stat().st_mtime <= made for path in self.inputs)


def plan(cfg: Config, config: str, work_dir: Path, *, tools: Path) -> List[Step]:
    """List the steps of the demo.

    Args:
        cfg: The loaded config; its data set is one that ``tools/make_shapes.py`` makes.
        config: Its file.
        work_dir: Folder for all results.
        tools: Folder of the tools.
    """
    python = str(short_path(sys.executable))
    weights = work_dir / f'iter_{cfg.train_cfg.max_iters}.pth'
    results, listing = work_dir / 'results.json', work_dir / 'predictions' / 'predictions.json'
    root = Path(cfg.test_dataloader.dataset.data_root)

    def tool(name: str, *arguments: object) -> List[str]:
        return [python, str(tools / f'{name}.py'), *map(str, arguments)]

    return [
        Step('data', tool('make_shapes', '--out', root)),
        Step(
            'train',
            tool('train', config, '--work-dir', work_dir, '--resume'),
            work_dir / 'last_checkpoint',
            mention=f'/{weights.name}',
        ),
        Step('test', tool('test', config, weights, '--work-dir', work_dir), results, (weights,)),
        Step(
            'predict',
            tool('predict', config, weights, *images(cfg), '--out', work_dir / 'predictions'),
            listing,
            (weights,),
        ),
        Step('report', tool('report', work_dir, '--out', work_dir / 'report.html')),
    ]


def images(cfg: Config) -> List[Path]:
    """Choose test images at equal distances in the list, whatever is on them."""
    dataset = cfg.test_dataloader.dataset
    root = Path(dataset.data_root)
    listed = root / dataset.ann_file
    # Before the first step there is no list; the plan is made again after it.
    names = listed.read_text().split() if listed.is_file() else []
    count = min(NUM_IMAGES, len(names))
    chosen = [names[index * len(names) // count] for index in range(count)]
    return [root / dataset.data_prefix.img_path / f'{name}.jpg' for name in chosen]


def run_step(step: Step, title: str, logs: Path) -> None:
    """Run one step with its progress bar on the screen and its text in a log file.

    Raises:
        StepError: If it fails.
    """
    if step.is_done():
        print(f'{title}: done already, see {step.product}', flush=True)
        return
    print(f'{title}: {shlex.join(step.command)}', flush=True)
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f'{step.name}.log'
    env = {'MMSEG_EXT_PROGRESS': '1', 'PYTHONWARNINGS': 'ignore', **os.environ}
    with log.open('w') as stream:
        code = subprocess.run(step.command, stdout=stream, env=env).returncode
    if code == 0 and (step.product is None or step.product.is_file()):
        return
    # The error itself went to the screen, with the progress bar; the log has what led to it.
    raise StepError(f'the step "{step.name}" failed, see also {log}')


def prepare(work_dir: Path, text: str) -> None:
    """Make the work folder ours; results of another version of the config are put aside.

    Raises:
        ValueError: If it holds anything that the demo did not write.
    """
    stamp = work_dir / STAMP
    digest = hashlib.sha256(text.encode()).hexdigest()
    if stamp.is_file() and json.loads(stamp.read_text()).get('config') == digest:
        last = work_dir / 'last_checkpoint'
        # A kill while saving: mmengine has deleted the old checkpoint and not named the new one.
        if last.is_file() and not Path(last.read_text().strip()).is_file():
            last.unlink()
        return
    if work_dir.is_dir() and any(work_dir.iterdir()):
        if not stamp.is_file():
            raise ValueError(
                f'{work_dir} is not empty and not from this demo; give another --work-dir'
            )
        aside = work_dir.with_name(f'{work_dir.name}_{time.strftime("%Y%m%d_%H%M%S")}')
        work_dir.rename(aside)
        print(f'the config has changed: earlier results are now in {aside}')
    work_dir.mkdir(parents=True, exist_ok=True)
    write_json(stamp, dict(config=digest))


def run_demo(config: str, work_dir: Path, *, tools: Path) -> Path:
    """Run the steps that are not done yet.

    Returns:
        The report.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If the work folder is somebody else's.
        StepError: If a step fails.
    """
    if not Path(config).is_file():
        raise FileNotFoundError(f'config {config} does not exist')
    cfg = Config.fromfile(config)
    prepare(work_dir, cfg.pretty_text)
    for index in range(len(plan(cfg, config, work_dir, tools=tools))):
        steps = plan(cfg, config, work_dir, tools=tools)  # anew: the data decide about the images
        title = f'[{index + 1}/{len(steps)}] {steps[index].name}'
        run_step(steps[index], title, work_dir / 'logs')
    return (work_dir / 'report.html').absolute()
