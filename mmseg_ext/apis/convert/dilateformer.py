"""DilateFormer's weights of ImageNet-1k, under the names of its public code.

The names are those of ``models/dilateformer.py`` of JIAOJIAYUASD/dilateformer (only its names, as
it has no licence).
"""

from collections.abc import Callable
from typing import Optional

from ...core.fitting import State
from .imagenet import IMAGENET_RGB
from .source import Source, count_modules, in_backbone, rows

_BLOCK = {
    'pos_embed': 'position',
    'norm1': 'norm1',
    'attn.qkv': 'attn.qkv',
    'attn.proj': 'attn.proj',
    'norm2': 'norm2',
    'mlp.fc1': 'ffn.layers.0.0',
    'mlp.fc2': 'ffn.layers.1',
}
_STEM = (0, 1, 3, 4, 6, 7, 9)  # the others have no weights


def _depths(state: State) -> tuple[int, ...]:
    stages = count_modules(state, r'stages\.(\d+)\.blocks\.')
    return tuple(count_modules(state, rf'stages\.{i}\.blocks\.(\d+)\.') for i in range(stages))


def _model(state: State) -> dict[str, dict]:
    arch = dict(embed_dims=rows(state, 'patch_embed.proj.9.weight'), depths=_depths(state))
    return dict(backbone=dict(type='DilateFormer', arch=arch))


def _names(state: State) -> Callable[[str], Optional[str]]:
    depths = _depths(state)
    table = {f'patch_embed.proj.{i}': f'patch_embed.{i}' for i in _STEM}
    for stage, depth in enumerate(depths):
        for block in range(depth):
            for old, new in _BLOCK.items():
                table[f'stages.{stage}.blocks.{block}.{old}'] = f'stages.{stage}.{block}.{new}'
        for layer in (0, 1):
            table[f'stages.{stage}.downsample.proj.{layer}'] = f'merge.{stage}.{layer}'
    return in_backbone({**table, 'norm': f'norm{len(depths) - 1}'})


SOURCES: dict[str, Source] = {
    'imagenet_dilateformer': Source(
        title='DilateFormer of JIAOJIAYUASD/dilateformer',
        origin='https://github.com/JIAOJIAYUASD/dilateformer',
        model=_model,
        names=_names,
        left_out=(r'head\..*',),
        absent=(r'backbone\.norm[0-2]\..*',),
        **IMAGENET_RGB,
    ),
}
