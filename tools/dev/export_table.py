"""Export the network of every config whose code is ours, and write what came of it as a table.

python tools/dev/export_table.py configs/mfp configs/segnet        export, and write docs/export.md
python tools/dev/export_table.py                                   only write docs/export.md again

Weights are random, statistics of batch norm too. Configs with the same network are exported once.
Each result is kept in docs/results/export.json at once, so that the work can be taken up again.
"""

import argparse
import datetime
import hashlib
import json
import logging
import re
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

from mmseg_ext.apis import cli, deploy
from mmseg_ext.apis.config.pipelines import test_steps
from mmseg_ext.apis.config.semi import plain_model
from mmseg_ext.apis.draw import markdown_table
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.outcome.facts import git, hardware
from mmseg_ext.core.files import write_bytes, write_json
from mmseg_ext.core.labels import voc_palette
from mmseg_ext.core.words import message_of

ROOT = Path(__file__).resolve().parents[2]
RECORDS, PAGE = ROOT / 'docs/results/export.json', ROOT / 'docs/export.md'
START, END = '<!-- exports -->', '<!-- end of exports -->'
_NO_PART = (  # settings of the same network: its training, its data, how many classes it tells
    'train_cfg', 'test_cfg', 'pretrained', 'init_cfg', 'loss_decode', 'auxiliary_head', 'with_cp',
    'data_preprocessor', 'num_classes', 'out_channels', 'dropout', 'dropout_ratio', 'frozen_stages',
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='*', type=Path, help='configs, or folders of them')
    parser.add_argument('--format', choices=list(deploy.FORMATS), default='onnx')
    parser.add_argument('--again', action='store_true', help='also what is recorded already')
    args = parser.parse_args()
    records = json.loads(RECORDS.read_text()) if RECORDS.is_file() else {}
    for name, cfg in networks(args.configs):
        kept = records.setdefault(name, {})
        if args.format not in kept or args.again:
            kept[args.format] = export_one(cfg, args.format)
            print(name, args.format, kept[args.format], flush=True)
            write_json(RECORDS, dict(sorted(records.items())))
    before, _, rest = PAGE.read_text().partition(START)
    text = f'{before}{START}\n{table(records)}\n{END}{rest.partition(END)[2]}'
    write_bytes(PAGE, text.encode())


def networks(paths: Iterable[Path]) -> Iterator[tuple[str, Config]]:
    """Yield name and config of the first config of each network with code of ours."""
    found = [f for p in paths for f in (sorted(p.glob('*.py')) if p.is_dir() else [p])]
    seen = set()
    for path in (path for path in found if not path.name.startswith('_')):
        cfg = load_config(path)
        key = hashlib.sha256(repr(_bare(plain_model(cfg.model))).encode()).hexdigest()
        if key not in seen:
            seen.add(key)
            yield path.stem, cfg


def _bare(value: Any) -> Any:
    """Leave out of a model's settings what its network does not depend on."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in _NO_PART}
        return sorted((str(k), _bare(v)) for k, v in kept.items())
    return [_bare(v) for v in value] if isinstance(value, (list, tuple)) else value


def build_random(cfg: Config) -> Any:
    """Build a network with random weights that a trained one could have."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build({**plain_model(cfg.model), 'train_cfg': None, 'pretrained': None})
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            statistics: Any = module
            statistics.running_mean.normal_(0, 0.1)
            statistics.running_var.uniform_(0.5, 1.5)
    classes = max(2, model.out_channels)
    model.dataset_meta = dict(
        classes=[f'class {c}' for c in range(classes)], palette=voc_palette(classes)
    )
    cfg.test_pipeline = test_steps(cfg)
    model.cfg = cfg
    return model.eval()


def export_one(cfg: Config, kind: str) -> dict:
    """Export a network into a folder that is thrown away; say what came of it."""
    try:
        model = build_random(cfg)
        if not any(type(m).__module__.startswith('mmseg_ext') for m in model.modules()):
            return dict(left_out='no part of its network is ours')
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f'net{deploy.FORMATS[kind].suffix}')
            done = deploy.export_model(model, path, kind, source={})
    except (ValueError, ImportError, RuntimeError) as error:
        return dict(refused=re.sub(r'\S*/net\.', 'net.', message_of(error)))
    found = done.comparison
    return dict(
        megabytes=round(done.megabytes, 1), seconds=round(done.seconds),
        difference=found.difference, agreement=found.agreement,
        undecided=found.undecided, shapes=found.shapes,
        eager_ms=found.eager_ms, file_ms=found.file_ms,
        hardware=hardware(), torch=torch.__version__, commit=git('rev-parse', 'HEAD'),
        date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    )  # fmt: skip


def table(records: dict) -> str:
    """Write a line for each network and format, and below it why others are not there."""
    rows, refused = [], []
    for name, kinds in sorted(records.items()):
        for kind, one in kinds.items():
            if 'refused' in one:
                refused.append(f'- {name}, {kind}: {one["refused"]}')
            elif 'megabytes' in one:
                rows.append(_row(name, kind, one))
    head = (
        'network of',
        'format',
        'MB',
        'difference',
        'same labels',
        'undecided',
        'eager ms',
        'file ms',
    )
    listed = '\n'.join(refused)
    lines = '\n'.join(markdown_table(head, rows))
    return lines + (f'\n\nRefused:\n\n{listed}' if refused else '')


def _row(name: str, kind: str, one: dict) -> list[str]:
    return [
        name, kind, f'{one["megabytes"]:.1f}', f'{one["difference"]:.0e}',
        f'{100 * one["agreement"]:.3f} %', f'{100 * one.get("undecided", 0):.1f} %',
        f'{one["eager_ms"]:.0f}', f'{one["file_ms"]:.0f}',
    ]  # fmt: skip


if __name__ == '__main__':
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    cli.run_tool(main)
