"""Swin weights: ImageNet's for mmseg's ``SwinTransformer`` and our ``SwinUNet``; Swin-UNet's own.

The names are those of timm 1.0, of microsoft/Swin-Transformer and, for trained Swin-UNets, of
HuCaoFighting/Swin-Unet (only its names, as it has no licence). The order of the four pixels that
patch merging joins changes.
"""

from collections.abc import Callable, Sequence
from typing import Any, Optional

from torch import Tensor

from ...core.fitting import State
from .imagenet import IMAGENET_RGB
from .source import GREY_UNIT_RANGE, Source, by_table, count_modules, in_backbone, rows

_NameOf = Callable[[str], Optional[str]]


_BIAS = 'relative_position_bias_table'
_BLOCK = {
    'norm1': 'norm1',
    'attn.qkv': 'attn.w_msa.qkv',
    'attn.proj': 'attn.w_msa.proj',
    'norm2': 'norm2',
    'mlp.fc1': 'ffn.layers.0.0',
    'mlp.fc2': 'ffn.layers.1',
}


def _swin_depths(state: State) -> tuple[int, ...]:
    stages = range(count_modules(state, r'layers\.(\d+)\.blocks\.'))
    return tuple(count_modules(state, rf'layers\.{i}\.blocks\.(\d+)\.') for i in stages)


def encoder_sizes(state: State) -> dict:
    """Derive the arguments that our networks share from the encoder's weights."""
    width, depths = rows(state, 'patch_embed.proj.weight'), _swin_depths(state)
    tables = [state[f'layers.{i}.blocks.0.attn.{_BIAS}'] for i in range(len(depths))]
    offsets = rows(state, f'layers.0.blocks.0.attn.{_BIAS}')  # (2 window - 1) squared
    return dict(
        embed_dims=width,
        depths=depths,
        num_heads=tuple(table.shape[1] for table in tables),
        window_size=(round(offsets**0.5) + 1) // 2,
    )


def block_table(theirs: str, ours: str, depth: int) -> dict[str, str]:
    """Map the modules of a stage's blocks from public names to ours."""
    table = {}
    for block in range(depth):
        for old, new in {**_BLOCK, f'attn.{_BIAS}': f'attn.w_msa.{_BIAS}'}.items():
            table[f'{theirs}.blocks.{block}.{old}'] = f'{ours}.blocks.{block}.{new}'
    return table


def encoder_table(state: State, depths: Sequence[int]) -> dict[str, str]:
    """Map the modules of the encoder from public names to ours."""
    # timm has patch merging at the start of a stage, the authors' code at the end of the previous
    first = 0 if 'layers.0.downsample.norm.weight' in state else 1
    table = {'patch_embed.proj': 'patch_embed.projection', 'patch_embed.norm': 'patch_embed.norm'}
    for stage, depth in enumerate(depths):
        for part in ('norm', 'reduction') if stage < len(depths) - 1 else ():
            ours = f'stages.{stage}.downsample.{part}'
            table[f'layers.{stage + first}.downsample.{part}'] = ours
        table.update(block_table(f'layers.{stage}', f'stages.{stage}', depth))
    return table


# --- mmseg's Swin ---------------------------------------------------------------------------------


def _swin_model(state: State) -> dict[str, dict]:
    return dict(backbone=dict(type='SwinTransformer', **encoder_sizes(state)))


def _swin_names(state: State) -> _NameOf:
    depths = _swin_depths(state)
    last = {'norm': f'norm{len(depths) - 1}'}
    return in_backbone({**encoder_table(state, depths), **last})


def reorder_merging(state: State) -> State:
    """Reorder the four merged pixels as in mmseg.

    The last axis is (column, row, channel) there, and (channel, row, column) here.
    """
    return {
        key: _reordered(value) if '.downsample.' in key else value for key, value in state.items()
    }


def _reordered(x: Tensor) -> Tensor:
    if x.shape[-1] % 4:  # not Swin; reported later as another shape
        return x
    split = x.unflatten(-1, (2, 2, x.shape[-1] // 4))
    return split.transpose(-1, -3).flatten(-3)


# --- SwinUNet -------------------------------------------------------------------------------------

_DEPTHS = (2, 2, 2, 2)  # depths of the public configuration
_EXPAND = ('expand', 'norm')


def _start_model(state: State) -> dict[str, dict]:
    return dict(backbone=dict(type='SwinUNet', **dict(encoder_sizes(state), depths=_DEPTHS)))


def _start_names(state: State) -> _NameOf:
    return in_backbone({**encoder_table(state, _DEPTHS), 'norm': 'norm'})


def _mirror(state: State) -> State:
    """Copy the encoder's weights to the decoder blocks of the same width, as the authors do."""
    state = reorder_merging(state)
    copies = {
        key.replace(f'.stages.{stage}.', f'.up_stages.{2 - stage}.'): value.clone()
        for key, value in state.items()
        for stage in range(3)
        if f'.stages.{stage}.blocks.' in key
    }
    return {**state, **copies}


_PREFIX = 'swin_unet.'


def _inner(state: State) -> State:
    return {key.removeprefix(_PREFIX): value for key, value in state.items()}


def _unet_model(state: State, **_: int) -> dict[str, dict]:
    inner = _inner(state)
    width, num_classes = rows(inner, 'patch_embed.proj.weight'), rows(inner, 'output.weight')
    head = dict(type='ConvSegHead', in_channels=width, kernel_size=1, bias=False, in_index=0)
    return dict(
        backbone=dict(type='SwinUNet', **encoder_sizes(inner)),
        decode_head=dict(head, num_classes=num_classes),
    )


def _unet_names(state: State) -> _NameOf:
    depths = _swin_depths(_inner(state))
    table = {**encoder_table(_inner(state), depths), 'norm': 'norm', 'norm_up': 'norm_up'}
    for part in _EXPAND:
        table[f'layers_up.0.{part}'] = f'expand.{part}'
        table[f'up.{part}'] = f'final_expand.{part}'
    for stage in range(1, len(depths)):
        theirs, ours = f'layers_up.{stage}', f'up_stages.{stage - 1}'
        table[f'concat_back_dim.{stage}'] = f'{ours}.fuse'
        table.update(block_table(theirs, ours, depths[-1 - stage]))
        for part in _EXPAND if stage < len(depths) - 1 else ():
            table[f'{theirs}.upsample.{part}'] = f'{ours}.upsample.{part}'
    table = {theirs: f'backbone.{ours}' for theirs, ours in table.items()}
    rename = by_table({**table, 'output': 'decode_head.conv_seg'})
    return lambda key: rename(key.removeprefix(_PREFIX))


BUFFERS = (r'.*\.attn_mask', r'.*\.relative_position_index')
_IMAGENET: dict[str, Any] = dict(
    origin='https://github.com/microsoft/Swin-Transformer',
    **IMAGENET_RGB,
)
SOURCES: dict[str, Source] = {
    'imagenet_swin': Source(
        title='Swin of timm or of microsoft/Swin-Transformer',
        model=_swin_model,
        names=_swin_names,
        left_out=(r'head\..*', *BUFFERS),
        absent=(r'backbone\.norm[0-2]\..*',),
        adjust=reorder_merging,
        note='mmseg shifts windows on a map of one window, too: the last map at 224 pixels',
        **_IMAGENET,
    ),
    'imagenet_swin_swinunet': Source(
        title='Swin-T of timm or of microsoft/Swin-Transformer, for SwinUNet of depths 2, 2, 2, 2',
        model=_start_model,
        names=_start_names,
        left_out=(r'head\..*', *BUFFERS, r'layers\.2\.blocks\.[2-9]\..*'),
        absent=(r'backbone\.(expand|norm_up|final_expand)\..*', r'.*\.(fuse|upsample)\..*'),
        adjust=_mirror,
        note="the decoder begins with the encoder's blocks, as in the authors' code",
        **_IMAGENET,
    ),
    'hucaofighting_swinunet': Source(
        title='Swin-UNet of HuCaoFighting/Swin-Unet',
        origin='https://github.com/HuCaoFighting/Swin-Unet',
        **GREY_UNIT_RANGE,
        model=_unet_model,
        names=_unet_names,
        left_out=BUFFERS,
        adjust=reorder_merging,
    ),
}
