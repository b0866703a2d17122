"""Export the network of every config, and write what came of it as a table.

python tools/dev/export_table.py configs/*                         export, and write docs/export.md
python tools/dev/export_table.py configs/mfp --format openvino     of these configs only
python tools/dev/export_table.py                                   only write docs/export.md again

Weights are random, statistics of batch norm too. Configs with the same network are exported once.
Each result is kept in docs/results/export.json at once, with a key of the network's settings: the
work can be taken up again, and is done again where these settings have changed.
"""

import argparse
import datetime
import hashlib
import json
import logging
import re
import signal
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

from mmseg_ext.apis import cli, deploy
from mmseg_ext.apis.config.packages import check_packages
from mmseg_ext.apis.config.pipelines import test_steps
from mmseg_ext.apis.config.semi import plain_model
from mmseg_ext.apis.config.untrained import untrained
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
    parser.add_argument(
        '--minutes', type=float, default=15, help='give a network up after as many (default 15)'
    )
    args = parser.parse_args()
    if args.configs:
        deploy.check_packages(args.format)
        export_all(args)
    before, _, rest = PAGE.read_text().partition(START)
    text = f'{before}{START}\n{table(read_records())}\n{END}{rest.partition(END)[2]}'
    write_bytes(PAGE, text.encode())


def read_records() -> dict:
    """Read what is recorded of each network, by the name of its first config."""
    return json.loads(RECORDS.read_text()) if RECORDS.is_file() else {}


def export_all(args: argparse.Namespace) -> None:
    """Export what is asked for and not recorded yet; two calls may share the work, by folders.

    Args:
        args: ``configs``, ``format``, ``again`` and ``minutes``, as the command line gives them.
    """
    asked = {path.stem for path in _files(args.configs)}
    found, records = networks((ROOT / 'configs').glob('*/*.py')), read_records()
    write_json(RECORDS, {names[0]: known(records, key, names) for key, names, _ in found})
    for _, names, cfg in found:
        kept = read_records()[names[0]].get(args.format, dict(untried=''))
        if asked.isdisjoint(names) or not (args.again or 'untried' in kept):
            continue
        with time_limit(args.minutes):
            result = export_one(cfg, args.format)
        print(names[0], args.format, result, flush=True)
        records = read_records()
        records[names[0]][args.format] = result
        write_json(RECORDS, records)


def _files(paths: Iterable[Path]) -> list[Path]:
    found = [f for p in paths for f in (p.glob('*.py') if p.is_dir() else [p])]
    kept = [p for p in found if not p.name.startswith('_') and '_base_' not in p.parts]
    return sorted(kept, key=lambda path: path.stem)


def networks(paths: Iterable[Path]) -> list[tuple[str, list[str], Config]]:
    """List each network of configs: its key, its configs' names in order, and the first config."""
    found: dict[str, tuple[str, list[str], Config]] = {}
    for path in _files(paths):
        cfg = load_config(path)
        settings = repr(_bare(plain_model(cfg.model)))
        key = hashlib.sha256(settings.encode()).hexdigest()[:16]
        found.setdefault(key, (key, [], cfg))[1].append(path.stem)
    return sorted(found.values(), key=lambda network: network[1])


def known(records: dict, key: str, names: list[str]) -> dict:
    """Return what is recorded of a network, under any name, with the configs that have it now."""
    for one in records.values():
        if one['network'] == key:
            return {**one, 'configs': names}
    return dict(network=key, configs=names)


@contextmanager
def time_limit(minutes: float) -> Iterator[None]:
    """Raise ``TimeoutError`` in here after so many minutes."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f'it took more than {minutes:g} minutes')

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 60 * minutes)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


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
    settings = untrained(plain_model(cfg.model))
    settings.update({key: None for key in ('train_cfg', 'pretrained') if key in settings})
    settings.get('detector', {}).update(weights_backbone=None)  # torchvision's
    model = MODELS.build(settings)
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
        check_packages(cfg.model)
    except ImportError as error:
        return dict(untried=message_of(error))
    try:
        model = build_random(cfg)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f'net{deploy.FORMATS[kind].suffix}')
            done = deploy.export_model(model, path, kind, source={})
    except (ValueError, ImportError, RuntimeError, TimeoutError) as error:
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
    """Write a line for each network and format; below it why others are not there, and who shares.

    Args:
        records: By the name of a network's first config: ``network``, ``configs``, and by format
            what :func:`export_one` returned.
    """
    rows: list[list[str]] = []
    refused, untried, shared = [], [], []
    for name, record in sorted(records.items()):
        for kind in (kind for kind in deploy.FORMATS if kind in record or kind == 'onnx'):
            one = record.get(kind, dict(untried='not yet'))
            if 'refused' in one:
                refused.append(f'- {name}, {kind}: {one["refused"]}')
            elif 'untried' in one:
                untried.append(f'- {name}, {kind}: {one["untried"]}')
            else:
                rows.append(_row(name, kind, one))
        if len(record['configs']) > 1:
            shared.append(f'- {name}: {", ".join(record["configs"][1:])}')
    parts = ['\n'.join(markdown_table(_HEAD, rows))]
    lists = {'Refused:': refused, 'Not tried:': untried, 'Configs with the same network:': shared}
    for title, lines in lists.items():
        parts += [title, '\n'.join(lines)] if lines else []
    return '\n\n'.join(parts)


_HEAD = (
    'network of', 'format', 'MB', 'difference', 'same labels', 'undecided', 'eager ms', 'file ms',
)  # fmt: skip


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
