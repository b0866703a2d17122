"""HRNet: sizes from public weights, and the whole HRNetV2 of bubbliiiing's repository."""

import re
from collections.abc import Callable
from typing import Optional

from ...core.fitting import State
from .source import by_table, count_modules, rows

_HRNET_CONV = 'decode_head.convs.0'


def hrnet_extra(state: State, prefix: str = '') -> dict:
    """Derive ``extra`` of mmseg's ``HRNet`` from weights; names differ only by a prefix."""
    width = rows(state, f'{prefix}transition1.0.0.weight')
    extra = dict(
        stage1=dict(
            num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(4,), num_channels=(64,)
        )
    )
    for stage in (2, 3, 4):
        pattern = re.escape(prefix) + rf'stage{stage}\.(\d+)\.'
        extra[f'stage{stage}'] = dict(
            num_modules=count_modules(state, pattern),
            num_branches=stage,
            block='BASIC',
            num_blocks=(4,) * stage,
            num_channels=tuple(width * 2**i for i in range(stage)),
        )
    return extra


def hrnet_model(state: State) -> dict[str, dict]:
    """Return the configs of the backbone and head that the weights fit."""
    prefix = 'backbone.model.'
    extra = hrnet_extra(state, prefix)
    widths = extra['stage4']['num_channels']
    head = dict(
        type='FCNHead',
        in_channels=widths,
        in_index=(0, 1, 2, 3),
        input_transform='resize_concat',
        channels=sum(widths),
        num_convs=1,
        kernel_size=1,
        concat_input=False,
        dropout_ratio=0,
        num_classes=rows(state, 'last_layer.3.weight'),
        norm_cfg=dict(type='BN'),
        align_corners=True,
    )
    return dict(backbone=dict(type='HRNetAlignCorners', extra=extra), decode_head=head)


def hrnet_names(state: State) -> Callable[[str], Optional[str]]:
    """Return the function that maps a public name to ours."""
    rename = by_table(
        {
            'last_layer.0': f'{_HRNET_CONV}.conv',
            'last_layer.1': f'{_HRNET_CONV}.bn',
            'last_layer.3': 'decode_head.conv_seg',
        }
    )
    prefix = 'backbone.model.'
    return lambda key: (
        f'backbone.{key.removeprefix(prefix)}' if key.startswith(prefix) else rename(key)
    )


def fold_hrnet_bias(state: State) -> State:
    """Move the bias before a batch norm into its mean: x + b - m = x - (m - b)."""
    bias = state.pop(f'{_HRNET_CONV}.conv.bias', None)
    mean = f'{_HRNET_CONV}.bn.running_mean'
    if bias is not None and mean in state and bias.shape == state[mean].shape:
        state[mean] = state[mean] - bias
    return state
