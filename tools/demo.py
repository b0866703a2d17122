"""Train, test and show a small FMSI-DeepLab from nothing; ``make demo`` runs it.

Makes the embedded data set ``shapes``, and calls the tools that a user would call, printing each
command. Finished steps are skipped and a killed training goes on where it was, so run it again at
any time.
"""

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path


def _short(path: object) -> Path:
    """Write a path below the current folder as a user would type it."""
    relative = os.path.relpath(str(path))
    return Path(str(path) if relative.startswith('..') else relative)


TOOLS = _short(Path(__file__).resolve().parent)
CONFIG = TOOLS.parent / 'configs' / 'fmsi' / 'fmsi_xception_mid4_shapes.py'
STAMP = 'demo.json'
NUM_IMAGES = 6


@dataclass(frozen=True)
class Step:
    """One command, and the file that its success leaves; without one it always runs."""

    name: str
    command: list
    product: Path | None = None
    inputs: tuple = ()

    def is_done(self) -> bool:
        """Whether the product is there and not older than what it is made from."""
        if self.product is None or not self.product.is_file():
            return False
        made = self.product.stat().st_mtime
        return all(path.is_file() and path.stat().st_mtime <= made for path in self.inputs)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', default='work_dirs/demo', help='folder for all results')
    parser.add_argument('--config', default=str(CONFIG), help='config on the data set shapes')
    return parser.parse_args()


def plan(cfg, config: str, work_dir: Path) -> list:
    """List the steps of the demo for a loaded config."""
    python = str(_short(sys.executable))
    weights = work_dir / f'iter_{cfg.train_cfg.max_iters}.pth'
    results, listing = work_dir / 'results.json', work_dir / 'predictions' / 'predictions.json'
    root = Path(cfg.test_dataloader.dataset.data_root)

    def tool(name: str, *arguments: object) -> list:
        return [python, str(TOOLS / f'{name}.py'), *map(str, arguments)]

    return [
        Step('data', tool('make_shapes', '--out', root)),
        Step('train', tool('train', config, '--work-dir', work_dir, '--resume'), weights),
        Step('test', tool('test', config, weights, '--work-dir', work_dir), results, (weights,)),
        Step(
            'predict',
            tool('predict', config, weights, *images(cfg), '--out', work_dir / 'predictions'),
            listing,
            (weights,),
        ),
        Step('report', tool('report', work_dir, '--out', work_dir / 'report.html')),
    ]


def images(cfg) -> list:
    """Choose test images at equal distances in the list, whatever is on them."""
    dataset = cfg.test_dataloader.dataset
    root = Path(dataset.data_root)
    listed = root / dataset.ann_file
    # Before the first step there is no list; the plan is made again after it.
    names = listed.read_text().split() if listed.is_file() else []
    count = min(NUM_IMAGES, len(names))
    chosen = [names[index * len(names) // count] for index in range(count)]
    return [root / dataset.data_prefix.img_path / f'{name}.jpg' for name in chosen]


def run(step: Step, title: str, logs: Path) -> None:
    """Run one step with its progress bar on the screen and its text in a log file."""
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
    print(f'error: the step "{step.name}" failed, see also {log}', file=sys.stderr)
    sys.exit(code or 1)


def prepare(work_dir: Path, text: str) -> None:
    """Make the work folder ours; results of another version of the config are put aside."""
    stamp = work_dir / STAMP
    digest = hashlib.sha256(text.encode()).hexdigest()
    if stamp.is_file() and json.loads(stamp.read_text()).get('config') == digest:
        return
    if work_dir.is_dir() and any(work_dir.iterdir()):
        if not stamp.is_file():
            sys.exit(f'error: {work_dir} is not empty and not from this demo; give --work-dir')
        aside = work_dir.with_name(f'{work_dir.name}_{time.strftime("%Y%m%d_%H%M%S")}')
        work_dir.rename(aside)
        print(f'the config has changed: earlier results are now in {aside}')
    work_dir.mkdir(parents=True, exist_ok=True)
    stamp.write_text(json.dumps(dict(config=digest)))


def main() -> None:
    args = parse_args()
    started = time.monotonic()
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
    from mmengine.config import Config

    if not Path(args.config).is_file():
        sys.exit(f'error: config {args.config} does not exist')
    cfg = Config.fromfile(args.config)
    work_dir = Path(args.work_dir)
    prepare(work_dir, cfg.pretty_text)
    for index in range(len(plan(cfg, args.config, work_dir))):
        steps = plan(cfg, args.config, work_dir)
        step, title = steps[index], f'[{index + 1}/{len(steps)}] {steps[index].name}'
        run(step, title, work_dir / 'logs')
    report = (work_dir / 'report.html').absolute()
    print(f'finished in {(time.monotonic() - started) / 60:.1f} minutes\nreport: {report}')


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        sys.exit('\nstopped; run it again to go on')
