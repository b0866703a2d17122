"""Checkpoints of TransDeepLab under the names of rezazad68/TransDeepLab.

The names are those of ``model/`` (only its names, as it has no licence). The order of the four
pixels that patch merging joins changes, and that of maximum and mean in the spatial gate.
"""

from collections.abc import Callable
from typing import Optional

from torch import Tensor

from ...core.fitting import State
from .source import GREY_UNIT_RANGE, Source, by_table, count_modules
from .swin import BUFFERS, block_table, encoder_sizes, encoder_table, reorder_merging

_ENCODER = 'encoder.'
_LAST = 'decoder.last_layers_up.0'


def _encoder(state: State) -> State:
    own = {key: value for key, value in state.items() if key.startswith(_ENCODER)}
    return {key.removeprefix(_ENCODER): value for key, value in own.items()}


def _branches(state: State) -> int:
    return count_modules(state, r'aspp\.layers\.(\d+)\.blocks\.')


def _depth(state: State, stage: str) -> int:
    return count_modules(state, rf'{stage.replace(".", "[.]")}\.blocks\.(\d+)\.')


def _table_of_branch(state: State, branch: int) -> Tensor:
    return state[f'aspp.layers.{branch}.blocks.0.attn.relative_position_bias_table']


def _window(table: Tensor) -> int:
    return (round(len(table) ** 0.5) + 1) // 2  # a row for each of (2 window - 1) squared offsets


def _model(state: State, **_: int) -> dict[str, dict]:
    tables = [_table_of_branch(state, branch) for branch in range(_branches(state))]
    depths = {_depth(state, f'aspp.layers.{branch}') for branch in range(len(tables) - 1)}
    classes, width = state['decoder.output.weight'].shape[:2]
    return dict(
        backbone=dict(
            type='TransDeepLab',
            **encoder_sizes(_encoder(state)),
            pyramid_windows=tuple(map(_window, tables)),
            pyramid_depth=max(depths, default=2),
            decoder_depth=_depth(state, 'decoder.layers_up.0'),
            last_depth=_depth(state, _LAST),
            decoder_heads=_table_of_branch(state, 0).shape[1],
        ),
        decode_head=dict(
            type='ConvSegHead',
            in_channels=width,
            kernel_size=1,
            bias=False,
            in_index=0,
            num_classes=classes,
        ),
    )


_GATE = 'backbone.pyramid.attn.spatial.weight'


def _reordered(state: State) -> State:
    """Reorder as in our modules: merged pixels, and the maximum behind the mean over channels."""
    flipped = {
        key: value.flip(1) for key, value in state.items() if key == _GATE and value.dim() > 1
    }
    return {**reorder_merging(state), **flipped}


def _expansion(theirs: str, ours: str) -> dict[str, str]:
    return {f'{theirs}.{part}': f'{ours}.{part}' for part in ('expand', 'norm')}


def _decoder_table(state: State) -> dict[str, str]:
    stages = {
        f'decoder.layers_up.{stage}': f'up_stages.{stage}'
        for stage in range(count_modules(state, r'decoder\.layers_up\.(\d+)\.'))
    }
    table = {'decoder.norm_up': 'norm_up', **_expansion('decoder.final_up', 'final_expand')}
    for theirs, ours in {**stages, _LAST: 'last_stage'}.items():
        table.update(_blocks(theirs, f'{ours}.0', _depth(state, theirs)))
        table.update(_expansion(f'{theirs}.upsample', f'{ours}.1'))
    return table


def _blocks(theirs: str, ours: str, depth: int) -> dict[str, str]:
    """Map blocks which have no module of ours around them."""
    table = block_table(theirs, ours, depth)
    return {name: own.replace(f'{ours}.blocks.', f'{ours}.') for name, own in table.items()}


def _names(state: State) -> Callable[[str], Optional[str]]:
    inner = _encoder(state)
    depths = encoder_sizes(inner)['depths']
    table = {f'{_ENCODER}{name}': ours for name, ours in encoder_table(inner, depths).items()}
    table[f'{_ENCODER}low_level_norm'] = 'norm_low'
    for branch in range(_branches(state)):
        theirs = f'aspp.layers.{branch}'
        table.update(_blocks(theirs, f'pyramid.branches.{branch}', _depth(state, theirs)))
    for layer in (0, 2):
        table[f'aspp.proj.ca.se.{layer}'] = f'pyramid.attn.mlp.{layer}'
    table.update({'aspp.proj.sa.conv': 'pyramid.attn.spatial', 'aspp.proj.proj': 'pyramid.proj'})
    table.update(_decoder_table(state))
    named = {name: f'backbone.{ours}' for name, ours in table.items()}
    return by_table({**named, 'decoder.output': 'decode_head.conv_seg'})


SOURCES: dict[str, Source] = {
    'rezazad68_transdeeplab': Source(
        title='TransDeepLab of rezazad68/TransDeepLab, one to four levels',
        origin='https://github.com/rezazad68/TransDeepLab',
        model=_model,
        names=_names,
        left_out=BUFFERS,
        adjust=_reordered,
        **GREY_UNIT_RANGE,
    ),
}
