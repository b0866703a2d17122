"""TransUNet's own checkpoints, and its initial weights: R50+ViT-B/16 of ImageNet-21k.

The initial weights are Google's arrays, or timm's copy. Their names are those that
Beckschen/TransUNet loads (networks/vit_seg_modeling.py at ee8accecfd79f387071690f047b1a682176201fc
and networks/vit_seg_modeling_resnet_skip.py at 26de0c4d9a5145589ea249d169af7f7130823e03); timm 1.0
loads the same, and the tests compare with it. The names of trained checkpoints come from the same
files at 02ef0010b36eb8328b5e689eadaf613602edf9b8. Axes are reordered; query, key and value are
joined to one tensor; the class token and its position are left out. No value changes.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Optional

import torch
from torch import Tensor

from ...core.fitting import State
from .imagenet import SIGNED_RGB, vit_block_table
from .source import GREY_UNIT_RANGE, Source, by_table, count_modules, rows

_NameOf = Callable[[str], Optional[str]]
_STRIDE = 16  # pixels per side of a token
_STAGES = 3  # stages of the stem
_HEAD_WIDTH = 64  # channels per attention head
_POSITIONS = 'Transformer/posembed_input/pos_embedding'
_ATTENTION = 'MultiHeadDotProductAttention_1'
# Modules in a block of the stem, in the same order.
_UNIT = (
    *('reduce.0', 'reduce.1', 'conv.0', 'conv.1', 'restore.0', 'restore.1'),
    *('project.0', 'project.1'),
)
_GOOGLE_UNIT = ('conv1', 'gn1', 'conv2', 'gn2', 'conv3', 'gn3', 'conv_proj', 'gn_proj')
_TIMM_UNIT = (
    *('conv1', 'norm1', 'conv2', 'norm2', 'conv3', 'norm3'),
    *('downsample.conv', 'downsample.norm'),
)
_BLOCK = {
    'LayerNorm_0': 'ln1',
    f'{_ATTENTION}/out': 'attn.attn.out_proj',
    'LayerNorm_2': 'ln2',
    'MlpBlock_3/Dense_0': 'ffn.layers.0.0',
    'MlpBlock_3/Dense_1': 'ffn.layers.1',
}


def _as_grid(positions: Tensor) -> Tensor:
    """Convert positions ``(1, 1 + n * n, C)``, class token first, to a map ``(1, C, n, n)``."""
    side = round((positions.shape[1] - 1) ** 0.5) if positions.dim() == 3 else 0
    if not side or positions.shape[1] != 1 + side * side:
        raise ValueError(f'positions of a class token and a square, but {tuple(positions.shape)}')
    return positions[:, 1:].transpose(1, 2).unflatten(2, (side, side))


def _model(
    state: State, *, root: str, positions: str, block: str, units: Sequence[str]
) -> dict[str, dict]:
    """Derive the network's sizes from weights; ``block`` and ``units`` are patterns of modules."""
    _, width, side, _ = state[positions].shape
    if width % _HEAD_WIDTH:
        raise ValueError(f'heads of {_HEAD_WIDTH} channels in {width}')
    return dict(
        backbone=dict(
            type='TransUNet',
            img_size=_STRIDE * side,
            stem_width=rows(state, root),
            stem_depths=tuple(count_modules(state, unit) for unit in units),
            embed_dims=width,
            num_layers=count_modules(state, block),
            num_heads=width // _HEAD_WIDTH,
        )
    )


def _units_table(
    depths: Sequence[int], names: Sequence[str], name_of: Callable[[int, int, str], str]
) -> dict[str, str]:
    return {
        name_of(stage, unit, old): f'stem.stages.{stage}.{unit}.{new}'
        for stage, depth in enumerate(depths)
        for unit in range(depth)
        for old, new in zip(names, _UNIT, strict=True)
    }


# --- Google's arrays ------------------------------------------------------------------------------


def _google_prepare(state: State) -> State:
    """Reorder the axes of arrays as in torch, and join query, key and value."""
    turned = {key: _turned(key, value) for key, value in state.items()}
    for key in [key for key in turned if f'{_ATTENTION}/query/' in key]:
        names = [key.replace('/query/', f'/{part}/') for part in ('query', 'key', 'value')]
        shapes = {turned[name].shape for name in names if name in turned}
        if len(shapes) == 1 and all(name in turned for name in names):
            turned[key.replace('/query/', '/qkv/')] = torch.cat([turned.pop(n) for n in names])
    return turned  # a part that is missing or of another shape leaves the rest to be reported


def _turned(key: str, value: Tensor) -> Tensor:
    if key == _POSITIONS:
        return _as_grid(value)
    if not key.endswith('/kernel'):
        return value.flatten()  # norms are (1, 1, 1, C), biases of attention (heads, C)
    if value.dim() == 4:  # height, width, in, out
        return value.permute(3, 2, 0, 1)
    if value.dim() == 3:  # (heads, width, C) or (C, heads, width)
        value = value.flatten(0, 1) if f'{_ATTENTION}/out/' in key else value.flatten(1)
    return value.t() if value.dim() == 2 else value


def _google_model(state: State) -> dict[str, dict]:
    return _model(
        state,
        root='conv_root/kernel',
        positions=_POSITIONS,
        block=r'Transformer/encoderblock_(\d+)/',
        units=[rf'block{stage + 1}/unit(\d+)/' for stage in range(_STAGES)],
    )


def _google_unit(stage: int, unit: int, module: str) -> str:
    return f'block{stage + 1}/unit{unit + 1}/{module}'


def _google_names(state: State) -> _NameOf:
    sizes = _google_model(state)['backbone']
    modules = {'conv_root': 'stem.root.0', 'gn_root': 'stem.root.1', 'embedding': 'patch_embed'}
    modules.update(_units_table(sizes['stem_depths'], _GOOGLE_UNIT, _google_unit))
    table = {_POSITIONS: 'backbone.pos_embed'}
    for layer in range(sizes['num_layers']):
        theirs, ours = f'Transformer/encoderblock_{layer}', f'layers.{layer}'
        modules.update({f'{theirs}/{old}': f'{ours}.{new}' for old, new in _BLOCK.items()})
        for old, new in (('kernel', 'weight'), ('bias', 'bias')):
            qkv = f'{theirs}/{_ATTENTION}/qkv/{old}'
            table[qkv] = f'backbone.{ours}.attn.attn.in_proj_{new}'
    modules['Transformer/encoder_norm'] = 'norm'
    for old, new in (('kernel', 'weight'), ('scale', 'weight'), ('bias', 'bias')):
        table.update({f'{key}/{old}': f'backbone.{ours}.{new}' for key, ours in modules.items()})
    return by_table(table)


# --- timm -----------------------------------------------------------------------------------------

_STEM = 'patch_embed.backbone'


def _timm_prepare(state: State) -> State:
    return {key: _as_grid(value) if key == 'pos_embed' else value for key, value in state.items()}


def _timm_model(state: State) -> dict[str, dict]:
    prefix = re.escape(f'{_STEM}.stages.')
    return _model(
        state,
        root=f'{_STEM}.stem.conv.weight',
        positions='pos_embed',
        block=r'blocks\.(\d+)\.',
        units=[rf'{prefix}{stage}\.blocks\.(\d+)\.' for stage in range(_STAGES)],
    )


def _timm_unit(stage: int, unit: int, module: str) -> str:
    return f'{_STEM}.stages.{stage}.blocks.{unit}.{module}'


def _timm_names(state: State) -> _NameOf:
    sizes = _timm_model(state)['backbone']
    table = {f'{_STEM}.stem.conv': 'stem.root.0', f'{_STEM}.stem.norm': 'stem.root.1'}
    table.update(_units_table(sizes['stem_depths'], _TIMM_UNIT, _timm_unit))
    table.update(vit_block_table(sizes['num_layers']))
    table.update({'patch_embed.proj': 'patch_embed', 'norm': 'norm', 'pos_embed': 'pos_embed'})
    return by_table({theirs: f'backbone.{ours}' for theirs, ours in table.items()})


# --- trained networks -----------------------------------------------------------------------------

_HYBRID = 'transformer.embeddings.hybrid_model'
_PLACES = 'transformer.embeddings.position_embeddings'
_LAYER = 'transformer.encoder.layer'
_OWN_UNIT = ('conv1', 'gn1', 'conv2', 'gn2', 'conv3', 'gn3', 'downsample', 'gn_proj')
_OWN_BLOCK = {
    'attention_norm': 'ln1',
    'attn.qkv': 'attn.attn.in_proj',
    'attn.out': 'attn.attn.out_proj',
    'ffn_norm': 'ln2',
    'ffn.fc1': 'ffn.layers.0.0',
    'ffn.fc2': 'ffn.layers.1',
}


def _own_prepare(state: State) -> State:
    """Convert the positions to a map, and join query, key and value."""
    state = {k: _as_square(v) if k == _PLACES else v for k, v in state.items()}
    for key in [key for key in state if '.attn.query.' in key]:
        names = [key.replace('.query.', f'.{part}.') for part in ('query', 'key', 'value')]
        shapes = {state[name].shape for name in names if name in state}
        if len(shapes) == 1 and all(name in state for name in names):
            state[key.replace('.query.', '.qkv.')] = torch.cat([state.pop(n) for n in names])
    return state  # a part that is missing or of another shape leaves the rest to be reported


def _as_square(positions: Tensor) -> Tensor:
    """Convert positions ``(1, n * n, C)`` to a map ``(1, C, n, n)``."""
    side = round(positions.shape[1] ** 0.5) if positions.dim() == 3 else 0
    if not side or positions.shape[1] != side * side:
        raise ValueError(f'positions of a square, but {tuple(positions.shape)}')
    return positions.transpose(1, 2).unflatten(2, (side, side))


def _own_model(state: State, **_: int) -> dict[str, dict]:
    prefix = re.escape(f'{_HYBRID}.body.')
    model = _model(
        state,
        root=f'{_HYBRID}.root.conv.weight',
        positions=_PLACES,
        block=re.escape(_LAYER) + r'\.(\d+)\.',
        units=[rf'{prefix}block{stage + 1}\.unit(\d+)\.' for stage in range(_STAGES)],
    )
    blocks = count_modules(state, r'decoder\.blocks\.(\d+)\.')
    widths = tuple(rows(state, f'decoder.blocks.{i}.conv1.0.weight') for i in range(blocks))
    model['backbone']['decoder_channels'] = widths
    model['decode_head'] = dict(
        type='ConvSegHead',
        in_channels=widths[-1],
        kernel_size=state['segmentation_head.0.weight'].shape[-1],
        num_classes=rows(state, 'segmentation_head.0.weight'),
    )
    return model


def _own_unit(stage: int, unit: int, module: str) -> str:
    return f'{_HYBRID}.body.block{stage + 1}.unit{unit + 1}.{module}'


def _own_names(state: State) -> _NameOf:
    sizes = _own_model(state)['backbone']
    modules = {
        f'{_HYBRID}.root.conv': 'stem.root.0',
        f'{_HYBRID}.root.gn': 'stem.root.1',
        'transformer.embeddings.patch_embeddings': 'patch_embed',
        'transformer.encoder.encoder_norm': 'norm',
        **{f'decoder.conv_more.{i}': f'enter.{i}' for i in (0, 1)},
    }
    modules.update(_units_table(sizes['stem_depths'], _OWN_UNIT, _own_unit))
    for layer in range(sizes['num_layers']):
        for old, new in _OWN_BLOCK.items():
            modules[f'{_LAYER}.{layer}.{old}'] = f'layers.{layer}.{new}'
    for block in range(len(sizes['decoder_channels'])):
        for part in ('conv1.0', 'conv1.1', 'conv2.0', 'conv2.1'):
            modules[f'decoder.blocks.{block}.{part}'] = f'decoder.{block}.{part}'
    table = {old: f'backbone.{new}' for old, new in modules.items()}
    table.update({_PLACES: 'backbone.pos_embed', 'segmentation_head.0': 'decode_head.conv_seg'})
    rename = by_table(table)
    # the tensors of the joint projection belong to the attention: in_proj_weight, not .weight
    return lambda key: (rename(key) or '').replace('.in_proj.', '.in_proj_') or None


_SHARED: dict[str, Any] = dict(
    images='RGB of -1..1: mean 127.5, std 127.5',
    preprocessor=SIGNED_RGB,
    absent=(r'backbone\.(enter|decoder)\..*',),
    note='the stem is that of the public TransUNet: it pads at all sides, and the norm of a '
    'projection has a group per channel; the weights were trained with padding at the end and 32 '
    'groups',
)
SOURCES: dict[str, Source] = {
    'imagenet_r50vit_transunet': Source(
        title='R50+ViT-B_16.npz of google-research/vision_transformer, for TransUNet',
        origin='https://github.com/google-research/vision_transformer',
        prepare=_google_prepare,
        model=_google_model,
        names=_google_names,
        left_out=(r'cls', r'(head|pre_logits)/.*'),
        **_SHARED,
    ),
    'timm_r50vit_transunet': Source(
        title='vit_base_r50_s16_224 or _384 of timm, for TransUNet',
        origin='https://github.com/huggingface/pytorch-image-models',
        prepare=_timm_prepare,
        model=_timm_model,
        names=_timm_names,
        left_out=(r'cls_token', r'(head|pre_logits)\..*'),
        **_SHARED,
    ),
    'beckschen_transunet': Source(
        title='TransUNet (R50-ViT-B_16 or R50-ViT-L_16) of Beckschen/TransUNet',
        origin='https://github.com/Beckschen/TransUNet',
        prepare=_own_prepare,
        model=_own_model,
        names=_own_names,
        **GREY_UNIT_RANGE,
    ),
}
