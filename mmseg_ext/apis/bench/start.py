"""How long tools take to start: processor time and modules of whole processes; see ``start``."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import mmseg
import numpy as np
import torch
from PIL import Image

from ...core.stack import describe_stack
from ..config.written import configs_folder
from .timing import Case, register

_COUNTED = """
import atexit, os, runpy, sys
count, sys.argv = sys.argv[1], sys.argv[2:]
atexit.register(lambda: open(count, 'w').write(str(len(sys.modules))))
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name='__main__')
"""
# Small, so that its one step is short beside the imports; it reads files and logs as any does.
_CONFIG = """
_base_ = [{bases!r} + '/default_runtime.py', {bases!r} + '/schedules/sgd_poly.py']
crop_size = (32, 32)
norm_cfg = dict(type='BN', requires_grad=True)
data_preprocessor = dict(
    type='SegDataPreProcessor', mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True, pad_val=0,
    seg_pad_val=255, size=crop_size)
model = dict(
    type='EncoderDecoder', data_preprocessor=data_preprocessor,
    backbone=dict(type='ResNetV1c', depth=18, base_channels=4, stem_channels=4, num_stages=4,
                  strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), norm_cfg=norm_cfg),
    decode_head=dict(
        type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, concat_input=False,
        num_classes=3, norm_cfg=norm_cfg, loss_decode=dict(type='CrossEntropyLoss')),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=crop_size), dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='BaseSegDataset', data_root={data!r}, pipeline=train_pipeline, img_suffix='.png',
        metainfo=dict(classes=('a', 'b', 'c'), palette=[[0] * 3, [99] * 3, [255] * 3]),
        data_prefix=dict(img_path='images', seg_map_path='masks')))
val_dataloader = val_cfg = val_evaluator = test_dataloader = test_cfg = test_evaluator = None
train_cfg = dict(max_iters=1, val_interval=1)
param_scheduler = []
default_hooks = dict(checkpoint=dict(interval=1))
randomness = dict(seed=0)
"""


class Sample(NamedTuple):
    """One process.

    Args:
        seconds: Processor time of it and of those that it started.
        modules: Number of modules that it has imported at its end.
    """

    seconds: float
    modules: int


@register
def start(repeats: int, *, configs: Sequence[str] = ()) -> Iterator[Case]:
    """Compare ``--help`` of each tool with ``import torch``, and a first step with mmseg's tool.

    The step is that of a small config on images that are made for it; both tools end with a
    checkpoint.

    Args:
        repeats: Measured processes of each kind, by turns, after one that fills caches.
        configs: Configs that are trained for a step, as they are, instead of the small one.
    """
    folder = configs_folder().parent / 'tools'
    tools = [path for path in sorted(folder.rglob('*.py')) if 'dev' not in path.parts]
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        bare = home / 'bare.py'
        bare.write_text('import torch\n')
        helps = [[str(tool), '--help'] for tool in tools]
        *ours, bare_torch = _by_turns([*helps, [str(bare)]], repeats, home)
        for tool, samples in zip(tools, ours):
            label = f'{tool.relative_to(folder.parent)} --help'
            yield _case(label, samples, 'import torch', bare_torch)
        stock = Path(mmseg.__file__).parent / '.mim' / 'tools' / 'train.py'
        for path in configs or [str(_small_config(home))]:
            words = [
                path,
                '--work-dir',
                str(home / 'run'),
                '--cfg-options',
                'train_cfg.max_iters=1',
            ]
            pair = [[str(folder / 'train.py'), *words], [str(stock), *words]]
            label = f'a training of one step, {Path(path).name}'
            mine, theirs = _by_turns(pair, repeats, home)
            yield _case(label, mine, f"mmseg's tools/train.py ({describe_stack()})", theirs)


def _small_config(home: Path) -> Path:
    """Write the config and six images with masks."""
    random = np.random.default_rng(0)
    for kind, shape, top in (('images', (40, 40, 3), 256), ('masks', (40, 40), 3)):
        (home / kind).mkdir()
        for index in range(6):
            pixels = random.integers(0, top, shape, np.uint8)
            Image.fromarray(pixels).save(home / kind / f'{index}.png')
    path = home / 'small.py'
    path.write_text(_CONFIG.format(bases=str(configs_folder() / '_base_'), data=str(home)))
    return path


def _by_turns(commands: Sequence[list[str]], repeats: int, home: Path) -> list[list[Sample]]:
    """Measure each command ``repeats`` times; the first round is not counted."""
    rounds = [[_run(words, home) for words in commands] for _ in range(repeats + 1)]
    return [list(samples) for samples in zip(*rounds[1:])]


def _run(words: list[str], home: Path) -> Sample:
    import resource  # which Windows lacks

    count = home / 'modules'
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, '-c', _COUNTED, str(count), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env={
            **os.environ,
            'MMSEG_EXT_PROGRESS': '0',
            'OMP_NUM_THREADS': str(torch.get_num_threads()),
        },
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f'{" ".join(words)} failed: {done.stderr.strip()}')
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Sample(seconds, int(count.read_text()))


def _case(label: str, ours: list[Sample], reference: str, theirs: list[Sample]) -> Case:
    case: Case = dict(case=label, reference=reference)
    for prefix, samples in (('', ours), ('reference_', theirs)):
        seconds = sorted(sample.seconds for sample in samples)
        case[f'{prefix}cpu_s'] = median(seconds)
        case[f'{prefix}cpu_s_lowest'], case[f'{prefix}cpu_s_highest'] = seconds[0], seconds[-1]
        case[f'{prefix}modules'] = samples[0].modules
    return dict(case, ratio_cpu=case['reference_cpu_s'] / case['cpu_s'])
