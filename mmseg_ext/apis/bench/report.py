"""Benchmark of a table's report and page; see ``report``."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch

from ..config.written import configs_folder
from .start import _small_config
from .timing import Case, register

_SEEDS = 3
_TABLE_LIMIT, _PAGE_LIMIT = 10.0, 20.0  # seconds that are wanted for 30 runs
_TESTED = """
val_dataloader = test_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(train_dataloader['dataset'], test_mode=True, pipeline=[
        dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]))
val_evaluator = test_evaluator = dict(type='SegMetric')
val_cfg, test_cfg = dict(type='ValLoop'), dict(type='TestLoop')
"""
_TEXTS = ('.py', '.json', '.yml', '.log', '.txt')


@register
def report(repeats: int, *, count: int = 30) -> Iterator[Case]:
    """Time ``tools/table.py --report`` and its page, whole processes, of a table of made-up runs.

    One small network is trained for a step and tested; the other runs are its copies, three seeds
    for each row.

    Args:
        repeats: Calls, of which the median counts.
        count: Runs in the table.
    """
    rows = -(-count // _SEEDS)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _make(home, rows)
        words = ['table.py', 'made', '1', '--report', '--configs', str(home / 'configs')]
        words += ['--work-dirs', str(home / 'runs'), '--ignore-tolerances']
        page = [*words, '--html', str(home / 'page.html')]
        for what, command, limit in (
            ('the table', words, _TABLE_LIMIT),
            ('the table and its page', page, _PAGE_LIMIT),
        ):
            seconds = [_time(command, home) for _ in range(repeats)]
            yield dict(case=f'{what}, {rows * _SEEDS} runs', seconds=median(seconds), limit_s=limit)


def _make(home: Path, rows: int) -> None:
    """Write the configs, the table and the tested runs."""
    configs = home / 'configs' / 'made'
    configs.mkdir(parents=True)
    text = _small_config(home).read_text()
    head, tail = text.split('val_dataloader = ', 1)
    text = head + 'train_cfg = ' + tail.split('train_cfg = ', 1)[1] + _TESTED
    names = [f'small{index:02d}' for index in range(rows)]
    for name in names:
        (configs / f'{name}.py').write_text(text)
    entries = '\n'.join(
        f'  - {{label: Row {n}, config: {n}, printed: {{mIoU: 50}}}}' for n in names
    )
    (configs / 'tables.yml').write_text(
        'protocol: {seeds: [0, 1, 2]}\ntables:\n 1:\n  caption: made up\n  rows:\n' + entries + '\n'
    )
    first = home / 'runs' / f'{names[0]}_seed0'
    config = str(configs / f'{names[0]}.py')
    _time(['train.py', config, '--work-dir', str(first), '--seed', '0'], home)
    _time(['test.py', config, '--work-dir', str(first)], home)
    for name in names:
        for seed in range(_SEEDS):
            target = home / 'runs' / f'{name}_seed{seed}'
            if target != first:
                shutil.copytree(first, target)
                _rename(target, names[0], name, seed)


def _rename(folder: Path, old: str, new: str, seed: int) -> None:
    for path in sorted(folder.rglob('*'), reverse=True):
        if path.suffix in _TEXTS:
            text = path.read_text().replace(f'{old}_seed0', f'{new}_seed{seed}').replace(old, new)
            path.write_text(re.sub(r'"seed": 0\b', f'"seed": {seed}', text))
        if old in path.name:
            path.rename(path.with_name(path.name.replace(old, new)))


def _time(words: list[str], home: Path) -> float:
    """Seconds of a call of a tool."""
    tool = configs_folder().parent / 'tools' / words[0]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(tool), *words[1:]],
        capture_output=True,
        text=True,
        cwd=home,
        env={
            **os.environ,
            'MMSEG_EXT_PROGRESS': '0',
            'OMP_NUM_THREADS': str(torch.get_num_threads()),
        },
    )
    if done.returncode:
        raise RuntimeError(f'{" ".join(words)} failed: {(done.stderr or done.stdout)[-2000:]}')
    return time.perf_counter() - start
