"""Do two environments compute the same? Record ten steps of five trainings in each, compare them.

UPSTREAM/bin/python tools/dev/compare_stacks.py record upstream.json
FORK/bin/python tools/dev/compare_stacks.py record fork.json
python tools/dev/compare_stacks.py compare upstream.json fork.json

A record has what is installed and, of each config, a digest of the weights that the network draws
under one seed, and the loss of each step. The trainings are whole ones, with loader, augmentation
and optimiser, on drawn images of 96x96 in crops of 64x64; nothing is downloaded. The comparison is
a table for docs/install.md.

Exit status: 1 if weights differ, or a loss by more than 1e-4; 2 if a file is no record.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import mmseg_ext  # before config_facts, which imports what mmcv-lite alone breaks

sys.path.insert(0, str(Path(__file__).resolve().parent))

from config_facts import weights_of, without_downloads
from mmengine.hooks import Hook

from mmseg_ext import apis
from mmseg_ext.apis.run.training import build_runner
from mmseg_ext.datasets.shapes_files import write_shapes

ROOT = Path(mmseg_ext.__file__).resolve().parents[1]
CONFIGS = {
    'FMSI': 'fmsi/fmsi_xception_mid4_shapes',
    'MFP': 'mfp/mfp_mobilenetv2_camvid180',
    'SegNet': 'segnet/segnet_basic_camvid180',
    'DeepLab-v2': 'deeplabv2/deeplabv2_vgg16_largefov_voc12aug',
    'U-Net': 'mfp/unet_s5d16_bmseg',
}
MODULES = ('mmengine', 'mmcv', 'mmseg', 'torch', 'numpy')
STEPS, CROP, TOLERANCE = 10, (64, 64), 1e-4


class Keeper(Hook):
    """Keep the loss of each step, and a digest of the weights before the first."""

    def __init__(self) -> None:
        self.weights = ''
        self.losses: list[float] = []

    def before_train(self, runner: Any) -> None:  # noqa: D102
        self.weights = weights_of(runner.model)['weights']

    def after_train_iter(  # noqa: D102
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.losses.append(float(outputs['loss']))


def record(out: Path, configs: Mapping[str, str] = CONFIGS) -> None:
    """Train each config for some steps; write what is installed, and each step's loss."""
    installed = packages_distributions()
    stack = {name: version(name) for module in MODULES for name in sorted(set(installed[module]))}
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, 'data.yml')
        write_shapes(f'{folder}/data', num=20, size=96, progress=False)
        apis.init_data_file(f'{folder}/data', data)
        for name, config in configs.items():
            runs[name] = dict(config=config, **_train(config, data, Path(folder, name)))
            print(name, *(f'{loss:.6f}' for loss in runs[name]['losses']), flush=True)
    out.write_text(json.dumps(dict(stack=stack, runs=runs), indent=1) + '\n')


def _train(config: str, data: Path, work_dir: Path) -> dict[str, Any]:
    """Train as ``tools/train.py --dataset`` does, without checkpoints and validation."""
    cfg = apis.load_config(
        ROOT / 'configs' / f'{config}.py', dataset=data, work_dir=work_dir,
        options={'max_iters': STEPS, 'train_dataloader.num_workers': 0,
                 'train_dataloader.batch_size': 2},
    )  # fmt: skip
    cfg.update(randomness=dict(seed=0), val_cfg=None, val_dataloader=None, val_evaluator=None)
    cfg.model, cfg.custom_hooks = without_downloads(cfg.model), []
    cfg.default_hooks = dict(checkpoint=None)
    cut(cfg)
    keeper, runner = Keeper(), build_runner(cfg)
    runner.register_hook(keeper)
    runner.train()
    return dict(weights=keeper.weights, losses=keeper.losses)


def cut(value: Any) -> None:
    """Give every crop, and every batch that is padded, the size ``CROP``, at any depth."""
    if isinstance(value, dict):
        if value.get('type') == 'RandomCrop':
            value['crop_size'] = CROP
        if 'seg_pad_val' in value and value.get('size'):
            value['size'] = CROP
    parts = value.values() if isinstance(value, dict) else value
    if isinstance(value, (dict, list, tuple)):
        for part in parts:
            cut(part)


def read(path: Path) -> dict[str, Any]:
    """Read a record.

    Raises:
        ValueError: If the file is none.
    """
    try:
        found = json.loads(path.read_text())
        runs = found['runs'].values()
        if found['stack'] and runs and all(run['weights'] and run['losses'] for run in runs):
            return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} is no record ({type(error).__name__})') from error
    raise ValueError(f'{path} is no whole record: record again')


def compare(before: dict[str, Any], after: dict[str, Any]) -> tuple[list[str], bool]:
    """Compare two records of the same configs.

    Returns:
        Lines of a table, and whether everything agrees.

    Raises:
        ValueError: If they are of other configs.
    """
    if {name: run['config'] for name, run in before['runs'].items()} != {
        name: run['config'] for name, run in after['runs'].items()
    }:
        raise ValueError('the records are of other configs: record again')
    rows = list(_rows(before['runs'], after['runs']))
    told = [', '.join(f'{k} {v}' for k, v in one['stack'].items()) for one in (before, after)]
    head = [
        f'A: {told[0]}', f'B: {told[1]}', '',
        '| | config | same weights | first loss, A | last loss, A | largest difference, A to B |',
        '|---|---|---|---|---|---|',
    ]  # fmt: skip
    return [*head, *(line for line, _ in rows)], all(agrees for _, agrees in rows)


def _rows(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    for name, run in before.items():
        same = run['weights'] == after[name]['weights']
        pairs = list(zip(run['losses'], after[name]['losses'], strict=True))
        largest = max(abs(a - b) for a, b in pairs)
        cells = (name, f'`{run["config"]}`', 'yes' if same else 'no', f'{pairs[0][0]:.4f}',
                 f'{pairs[-1][0]:.4f}', f'{largest:.1e}' if largest else '0')  # fmt: skip
        yield f'| {" | ".join(cells)} |', same and largest <= TOLERANCE


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parsers = parser.add_subparsers(dest='command', required=True)
    parsers.add_parser('record', help='train and write a record').add_argument('out', type=Path)
    part = parsers.add_parser('compare', help='print what differs between two records')
    part.add_argument('records', type=Path, nargs=2)
    args = parser.parse_args(argv)
    if args.command == 'record':
        record(args.out)
        return 0
    try:
        lines, agrees = compare(*map(read, args.records))
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print('\n'.join(lines))
    return int(not agrees)


if __name__ == '__main__':
    sys.exit(main())
