"""Checkpoints of UNet 3+, with or without deep supervision, under the names of ZJUGiveLab's code.

The names are those of ``models/UNet_3Plus.py`` (only its names, as it has no licence).
"""

import re
from collections.abc import Callable
from typing import Optional

from ...core.fitting import State
from .source import GREY_UNIT_RANGE, Source, by_table, count_modules, rows


def _model(state: State, **_: int) -> dict[str, dict]:
    stages = count_modules(state, r'conv(\d+)\.conv1\.0\.weight')
    widths = tuple(rows(state, f'conv{i}.conv1.0.weight') for i in range(1, stages + 1))
    classes, in_channels = rows(state, 'outconv1.weight'), state['outconv1.weight'].shape[1]
    return dict(
        backbone=dict(
            type='UNet3Plus',
            in_channels=state['conv1.conv1.0.weight'].shape[1],
            widths=widths,
            skip_channels=rows(state, 'h1_Cat_hd1_conv.weight'),
        ),
        decode_head=dict(type='ConvSegHead', in_channels=in_channels, **_outputs(classes)),
    )


def _outputs(channels: int) -> dict:
    """Describe the classifier's channels; a single one is a foreground with a sigmoid."""
    if channels == 1:
        return dict(num_classes=2, out_channels=1, threshold=0.5)
    return dict(num_classes=channels)


def _names(state: State) -> Callable[[str], Optional[str]]:
    stages = count_modules(state, r'conv(\d+)\.conv1\.0\.weight')
    table = {'outconv1': 'decode_head.conv_seg'}
    for stage in range(stages):
        for conv, layer in ((conv, layer) for conv in (0, 1) for layer in (0, 1)):
            theirs = f'conv{stage + 1}.conv{conv + 1}.{layer}'
            table[theirs] = f'backbone.down.{stage}.{conv}.{layer}'
    for key in state:
        found = re.fullmatch(r'hd?(\d)_\w+_hd(\d)_(conv|bn)\.weight', key)
        if found:
            ours = f'backbone.up.{stages - 1 - int(found[2])}.skips.{int(found[1]) - 1}.0'
            table[key.removesuffix('.weight')] = f'{ours}.{int(found[3] == "bn")}'
    for level in range(1, stages):
        for layer, name in enumerate(('conv', 'bn')):
            ours = f'backbone.up.{stages - 1 - level}.mix.0.{layer}'
            table[f'{name}{level}d_1'] = ours
    return by_table(table)


SOURCES: dict[str, Source] = {
    'zjugivelab_unet3plus': Source(
        title='UNet 3+ of ZJUGiveLab/UNet-Version',
        origin='https://github.com/ZJUGiveLab/UNet-Version',
        model=_model,
        names=_names,
        left_out=(r'outconv[2-9]\..*',),
        note='the classifiers of deep supervision, which only train, are left out',
        **GREY_UNIT_RANGE,
    ),
}
