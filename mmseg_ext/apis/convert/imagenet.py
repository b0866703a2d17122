"""ImageNet backbones of timm and torchvision, and others with the same names.

The names are those of timm 1.0 and torchvision 0.29; the tests compare outputs with theirs.
Classifiers are left out. No value changes. Swin is in ``swin.py``.
"""

import re
from collections.abc import Callable
from typing import Any, Optional

from ...core.fitting import State
from .hrnet import hrnet_extra
from .repositories import mobilenet_v2_table
from .source import Source, count_modules, in_backbone

_TORCHVISION = 'https://github.com/pytorch/vision'
_TIMM = 'https://github.com/huggingface/pytorch-image-models'
IMAGENET_RGB: dict[str, Any] = dict(
    images='RGB: mean 123.675, 116.28, 103.53, std 58.395, 57.12, 57.375',
    preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
)
# ``preprocessor`` for images in -1..1
SIGNED_RGB = dict(mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True)
_NameOf = Callable[[str], Optional[str]]


def _same_names(state: State, left_out: str) -> _NameOf:
    """Add the prefix of the part, except to names that match ``left_out``."""
    return lambda key: None if re.fullmatch(left_out, key) else f'backbone.{key}'


# --- Xception -------------------------------------------------------------------------------------

_SEPARABLE = {'conv_dw': 'depthwise', 'bn_dw': 'bn1', 'conv_pw': 'pointwise', 'bn_pw': 'bn2'}


def _xception_table(num_blocks: int = 20) -> dict[str, str]:
    table = {}
    for i in (0, 1):
        table.update({f'stem.{i}.conv': f'conv{i + 1}', f'stem.{i}.bn': f'bn{i + 1}'})
    for block in range(num_blocks):
        table[f'blocks.{block}.shortcut.conv'] = f'block{block + 1}.skip'
        table[f'blocks.{block}.shortcut.bn'] = f'block{block + 1}.skipbn'
        for j in (1, 2, 3):
            for theirs, ours in _SEPARABLE.items():
                name = f'blocks.{block}.stack.conv{j}.{theirs}'
                table[name] = f'block{block + 1}.sepconv{j}.{ours}'
    for j in (1, 2, 3):  # here the last three convolutions are not in a block
        for theirs, ours in _SEPARABLE.items():
            table[f'blocks.{num_blocks}.stack.conv{j}.{theirs}'] = f'conv{j + 2}.{ours}'
    return table


def _xception_model(state: State) -> dict[str, dict]:
    # the arguments are those of TensorFlow, where most of timm's weights come from
    flags = dict(exit_dilation=2, relu_identity=False, norm_eps=1e-3)
    return dict(backbone=dict(type='XceptionDeepLab', **flags))


# --- VGG16 ----------------------------------------------------------------------------------------

_VGG16 = (2, 2, 3, 3, 3)  # convolutions per stage


def _vgg16_bn_table(num_stages: int) -> dict[str, str]:
    """Map module indices: convolution, norm and ReLU count one each, a pooling ends a stage."""
    table, index = {}, 0
    for stage, count in enumerate(_VGG16[:num_stages]):
        for conv in range(count):
            for kind in (0, 1):
                table[f'features.{index + kind}'] = f'encoder.{stage}.{conv}.{kind}'
            index += 3
        index += 1
    return table


def _need_batch_norm(state: State) -> None:
    if 'features.1.running_mean' not in state:
        raise KeyError('features.1.running_mean: take vgg16_bn, not vgg16')


def _segnet_model(state: State) -> dict[str, dict]:
    _need_batch_norm(state)
    return dict(backbone=dict(type='SegNet', arch='vgg16'))


def _res_segnet_model(state: State) -> dict[str, dict]:
    _need_batch_norm(state)
    return dict(backbone=dict(type='ResSegNet'))


def _vgg16_bn(name: str, num_stages: int, **settings: Any) -> Source:
    return Source(
        title=f'vgg16_bn of torchvision, for the encoder of {name}',
        origin=_TORCHVISION,
        **IMAGENET_RGB,
        names=lambda state: in_backbone(_vgg16_bn_table(num_stages)),
        **settings,
    )


# --- ResNet ---------------------------------------------------------------------------------------

# blocks per stage, and whether they are bottleneck blocks
_RESNETS = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}


def _resnet_model(state: State) -> dict[str, dict]:
    blocks = tuple(count_modules(state, rf'layer{stage}\.(\d+)\.') for stage in (1, 2, 3, 4))
    kind = (blocks, 'layer1.0.conv3.weight' in state)
    if kind not in _RESNETS:
        raise ValueError(f'ResNet has stages of {blocks} blocks')
    return dict(backbone=dict(type='ResNet', depth=_RESNETS[kind]))


# --- HRNet ----------------------------------------------------------------------------------------

_HRNET_HEAD = r'(incre_modules|downsamp_modules|final_layer|classifier)\..*'


def _hrnet_model(state: State) -> dict[str, dict]:
    return dict(backbone=dict(type='HRNet', extra=hrnet_extra(state)))


# --- ViT ------------------------------------------------------------------------------------------

_VIT_BLOCK = {
    'norm1': 'ln1',
    'attn.proj': 'attn.attn.out_proj',
    'norm2': 'ln2',
    'mlp.fc1': 'ffn.layers.0.0',
    'mlp.fc2': 'ffn.layers.1',
}
_HEAD_WIDTH = 64  # channels per attention head in every size of ViT


def _vit_model(state: State) -> dict[str, dict]:
    width, _, patch, _ = state['patch_embed.proj.weight'].shape
    side = round((state['pos_embed'].shape[1] - 1) ** 0.5)
    return dict(
        backbone=dict(
            type='VisionTransformer',
            img_size=(side * patch, side * patch),
            patch_size=patch,
            embed_dims=width,
            num_layers=count_modules(state, r'blocks\.(\d+)\.'),
            num_heads=width // _HEAD_WIDTH,
            norm_cfg=dict(type='LN', eps=1e-6),
            patch_bias=True,
            final_norm=True,
        )
    )


def vit_block_table(num_layers: int) -> dict[str, str]:
    """Map modules of timm's transformer to mmseg's ``TransformerEncoderLayer``."""
    table = {}
    for block in range(num_layers):
        theirs, ours = f'blocks.{block}', f'layers.{block}'
        for old, new in _VIT_BLOCK.items():
            table[f'{theirs}.{old}'] = f'{ours}.{new}'
        for leaf in ('weight', 'bias'):
            table[f'{theirs}.attn.qkv.{leaf}'] = f'{ours}.attn.attn.in_proj_{leaf}'
    return table


def _vit_names(state: State) -> _NameOf:
    table = {name: name for name in ('cls_token', 'pos_embed')}
    table.update({'patch_embed.proj': 'patch_embed.projection', 'norm': 'ln1'})
    return in_backbone({**table, **vit_block_table(count_modules(state, r'blocks\.(\d+)\.'))})


SOURCES: dict[str, Source] = {
    'timm_xception65': Source(
        title='xception65 of timm',
        origin=_TIMM,
        images='RGB of -1..1: mean 127.5, std 127.5 (tf_in1k; look into the card of other weights)',
        preprocessor=SIGNED_RGB,
        model=_xception_model,
        names=lambda state: in_backbone(_xception_table()),
        left_out=(r'head\.fc\..*',),
        note="the Entry tap is read in front of its ReLU, timm's behind it",
    ),
    'torchvision_vgg16bn_segnet': _vgg16_bn(
        'SegNet',
        5,
        model=_segnet_model,
        left_out=(r'classifier\..*',),
        absent=(r'backbone\.decoder\..*',),
    ),
    'torchvision_vgg16bn_resegnet': _vgg16_bn(
        'ResSegNet',
        3,
        model=_res_segnet_model,
        left_out=(r'classifier\..*', r'features\.(2[4-9]|3\d|4[01])\..*'),
        absent=(r'backbone\.(de2|de3)\..*',),
        note='the last two stages of VGG16 are left out',
    ),
    'torchvision_vgg16_deeplab': Source(
        title='vgg16 of torchvision, for DeepLabVGG16',
        origin=_TORCHVISION,
        **IMAGENET_RGB,
        model=lambda state: dict(backbone=dict(type='DeepLabVGG16')),
        names=lambda state: _same_names(state, r'classifier\..*'),
        left_out=(r'classifier\..*',),
    ),
    'torchvision_resnet': Source(
        title='resnet18, 34, 50, 101 or 152 of torchvision',
        origin=_TORCHVISION,
        **IMAGENET_RGB,
        model=_resnet_model,
        names=lambda state: _same_names(state, r'fc\..*'),
        left_out=(r'fc\..*',),
    ),
    'torchvision_mobilenet_v2': Source(
        title='mobilenet_v2 of torchvision',
        origin=_TORCHVISION,
        **IMAGENET_RGB,
        model=lambda state: dict(backbone=dict(type='MobileNetV2Dilated')),
        names=lambda state: in_backbone(mobilenet_v2_table(flat=False)),
        left_out=(r'features\.18\..*', r'classifier\..*'),
    ),
    'imagenet_hrnet': Source(
        title='HRNet W18, W32 or W48 of timm or of HRNet/HRNet-Image-Classification',
        origin=_TIMM,
        **IMAGENET_RGB,
        model=_hrnet_model,
        names=lambda state: _same_names(state, _HRNET_HEAD),
        left_out=(_HRNET_HEAD,),
        note='branches are upsampled to the nearest pixel there, bilinearly here',
    ),
    'imagenet_vit': Source(
        title='ViT of timm (vit_*_patch16_* and kin, DeiT without distillation)',
        origin=_TIMM,
        images='RGB of -1..1: mean 127.5, std 127.5 (augreg; look into the card of other weights)',
        preprocessor=SIGNED_RGB,
        model=_vit_model,
        names=_vit_names,
        left_out=(r'(head|pre_logits)\..*',),
    ),
}
