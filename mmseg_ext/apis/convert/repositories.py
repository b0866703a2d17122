"""Checkpoints of whole networks from the repositories behind the papers' tables.

Names and shapes come from the model files of the repositories at the commits in
``tests/support/keys/*.txt``; all are MIT. No value changes unless a source says so.
"""

from collections.abc import Callable
from typing import Any, Optional

from ...core.fitting import State
from .hrnet import fold_hrnet_bias, hrnet_model, hrnet_names
from .source import Option, Source, by_table, rows

_GITHUB = 'https://github.com/'
_UNIT_RANGE: dict[str, Any] = dict(
    images='RGB of 0..1: mean 0, std 255',
    preprocessor=dict(mean=[0.0] * 3, std=[255.0] * 3, bgr_to_rgb=True),
)
# The repositories remove strides, which the weights do not show.
_STRIDE = dict(output_stride=Option((16, 8), 'output stride', alias='downsample_factor'))
# Modules in a stack of convolution, norm and ReLU.
_STACK = {0: 'conv', 1: 'bn'}

# --- MobileNetV2 ----------------------------------------------------------------------------------

# blocks per stage in mmseg; torchvision and all others number blocks consecutively
_MOBILENET_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
# index of the convolution of each step of a block, for blocks without and with expansion
_FLAT = {False: (0, 3), True: (0, 3, 6)}


def mobilenet_v2_table(*, flat: bool) -> dict[str, str]:
    """Map modules of a public MobileNetV2 to mmseg's.

    Args:
        flat: Convolutions and norms of a block have consecutive numbers (``conv.3``), as in the
            repositories; ``False``: each step has a number (``conv.1.0``), as in torchvision.
    """
    table = {f'features.0.{i}': f'conv1.{kind}' for i, kind in _STACK.items()}
    number = 0
    for stage, count in enumerate(_MOBILENET_BLOCKS, 1):
        for block in range(count):
            number += 1
            steps = _FLAT[stage > 1]
            for step, first in enumerate(steps):
                last = step == len(steps) - 1  # a linear convolution without a ReLU
                for i, kind in _STACK.items():
                    theirs = first + i if flat else step + i if last else f'{step}.{i}'
                    ours = f'layer{stage}.{block}.conv.{step}.{kind}'
                    table[f'features.{number}.conv.{theirs}'] = ours
    return table


def _mobilenet_v2(output_stride: int, out_indices: tuple) -> dict:
    if output_stride == 16:
        geometry = dict(strides=(1, 2, 2, 2, 1, 1, 1), dilations=(1, 1, 1, 1, 1, 2, 2))
    else:
        geometry = dict(strides=(1, 2, 2, 1, 1, 1, 1), dilations=(1, 1, 1, 2, 2, 4, 4))
    return dict(type='MobileNetV2Dilated', **geometry, out_indices=out_indices)


def _in_backbone(table: dict[str, str]) -> dict[str, str]:
    return {f'backbone.{theirs}': f'backbone.{ours}' for theirs, ours in table.items()}


# --- DeepLabv3+ -----------------------------------------------------------------------------------


def _is_xception(state: State) -> bool:
    return 'backbone.conv1.weight' in state


def _deeplabv3plus_model(state: State, output_stride: int = 16) -> dict[str, dict]:
    num_classes = rows(state, 'cls_conv.weight')
    if _is_xception(state):
        backbone: dict = dict(type='XceptionDeepLab', output_stride=output_stride)
        widths = (256, 728, 2048)
    else:
        backbone, widths = _mobilenet_v2(output_stride, (1, 4, 6)), (24, 96, 320)
    head = dict(
        type='DeepLabV3PlusHead',
        in_channels=widths,
        in_index=(0, 1, 2),
        context=dict(type='ASPP', rates=tuple(rate * 16 // output_stride for rate in (6, 12, 18))),
        num_classes=num_classes,
        align_corners=True,
    )
    return dict(backbone=backbone, decode_head=head)


def _deeplabv3plus_names(state: State) -> Callable[[str], Optional[str]]:
    head = {
        f'aspp.branch{i + 1}.{j}': f'context.branches.{i}.{j}' for i in range(4) for j in (0, 1)
    }
    head.update(
        {
            'aspp.branch5_conv': 'context.branches.4.conv.0',
            'aspp.branch5_bn': 'context.branches.4.conv.1',
        }
    )
    for theirs, ours in (('aspp.conv_cat', 'context.fuse'), ('shortcut_conv', 'low_level')):
        head.update({f'{theirs}.{j}': f'{ours}.{j}' for j in (0, 1)})
    head.update({f'cat_conv.{4 * i + j}': f'fuse{i + 1}.{j}' for i in (0, 1) for j in (0, 1)})
    head['cls_conv'] = 'conv_seg'
    table = {theirs: f'decode_head.{ours}' for theirs, ours in head.items()}
    if not _is_xception(state):
        return by_table({**table, **_in_backbone(mobilenet_v2_table(flat=True))})
    rename = by_table(table)  # Xception's names are ours
    return lambda key: key if key.startswith('backbone.') else rename(key)


# --- PSPNet ---------------------------------------------------------------------------------------


def _psp_is_resnet(state: State) -> bool:
    return 'backbone.layer1.0.conv1.weight' in state


def _psp_model(state: State, output_stride: int = 16) -> dict[str, dict]:
    num_classes = rows(state, 'master_branch.1.weight')
    if _psp_is_resnet(state):
        backbone, middle, width = _resnet_v1c(output_stride), 1024, 2048
    else:
        backbone, middle, width = _mobilenet_v2(output_stride, (4, 6)), 96, 320
    head = dict(
        type='PSPHead',
        in_channels=width,
        in_index=1,
        channels=width // 4,
        pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1,
        num_classes=num_classes,
        norm_cfg=dict(type='BN'),
        align_corners=True,
    )
    model = dict(backbone=backbone, decode_head=head)
    if 'auxiliary_branch.0.weight' in state:
        model['auxiliary_head'] = dict(
            type='FCNHead',
            in_channels=middle,
            in_index=0,
            channels=width // 8,
            num_convs=1,
            concat_input=False,
            dropout_ratio=0.1,
            num_classes=num_classes,
            norm_cfg=dict(type='BN'),
            align_corners=True,
        )
    return model


def _resnet_v1c(output_stride: int) -> dict:
    if output_stride == 16:
        geometry = dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2))
    else:
        geometry = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
    return dict(
        type='ResNetV1c',
        depth=50,
        stem_channels=128,
        **geometry,
        contract_dilation=True,
        out_indices=(2, 3),
    )


# Modules of the ResNet's stem of three convolutions, and mmseg's.
_DEEP_STEM = {'conv1': 0, 'bn1': 1, 'conv2': 3, 'bn2': 4, 'conv3': 6, 'bn3': 7}


def _psp_names(state: State) -> Callable[[str], Optional[str]]:
    rename = by_table(_psp_table(resnet=_psp_is_resnet(state)))
    return lambda key: key if key.startswith('backbone.layer') else rename(key)


def _psp_table(*, resnet: bool) -> dict[str, str]:
    if resnet:
        table = {f'backbone.{k}': f'backbone.stem.{i}' for k, i in _DEEP_STEM.items()}
    else:
        table = _in_backbone(mobilenet_v2_table(flat=True))
    for i, kind in _STACK.items():
        for scale in range(4):
            ours = f'decode_head.psp_modules.{scale}.1.{kind}'
            table[f'master_branch.0.stages.{scale}.{1 + i}'] = ours
        table[f'master_branch.0.bottleneck.{i}'] = f'decode_head.bottleneck.{kind}'
        table[f'auxiliary_branch.{i}'] = f'auxiliary_head.convs.0.{kind}'
    table['master_branch.1'] = 'decode_head.conv_seg'
    table['auxiliary_branch.4'] = 'auxiliary_head.conv_seg'
    return table


# --- U-Net ----------------------------------------------------------------------------------------


def _unet_model(state: State) -> dict[str, dict]:
    head = dict(type='UNetVGGHead', num_classes=rows(state, 'final.weight'), align_corners=True)
    if 'resnet.conv1.weight' in state:
        widths = dict(in_channels=(64, 256, 512, 1024, 2048), widths=(64, 128, 256, 512))
        return dict(
            backbone=dict(type='ResNetWithStem', depth=50),
            decode_head=dict(head, **widths, final_up=True),
        )
    return dict(
        backbone=dict(type='VGG16', out=tuple(f'conv{i}' for i in range(1, 6))),
        decode_head=dict(head, in_channels=(64, 128, 256, 512, 512)),
    )


def _unet_names(state: State) -> Callable[[str], Optional[str]]:
    table = {'final': 'decode_head.conv_seg'}
    for conv in (1, 3):  # after upsampling to the image's size, only with the ResNet
        table[f'up_conv.{conv}'] = f'decode_head.last.{conv - 1}'
    for step in range(1, 5):  # here a ReLU is between the two convolutions
        for conv in (1, 2):
            ours = f'decode_head.steps.{step - 1}.{2 * (conv - 1)}'
            table[f'up_concat{step}.conv{conv}'] = ours
    rename = by_table(table)

    def name_of(key: str) -> Optional[str]:
        part, _, rest = key.partition('.')
        return f'backbone.{rest}' if part in ('vgg', 'resnet') else rename(key)

    return name_of


def _bubbliiiing(repository: str, networks: str, **parts: Any) -> Source:
    name = f'bubbliiiing/{repository}'
    return Source(title=f'{networks} of {name}', origin=f'{_GITHUB}{name}', **_UNIT_RANGE, **parts)


SOURCES: dict[str, Source] = {
    'bubbliiiing_deeplabv3plus': _bubbliiiing(
        'deeplabv3-plus-pytorch',
        'DeepLabv3+ (Xception or MobileNetV2)',
        model=_deeplabv3plus_model,
        names=_deeplabv3plus_names,
        options=_STRIDE,
    ),
    'bubbliiiing_pspnet': _bubbliiiing(
        'pspnet-pytorch',
        'PSPNet (MobileNetV2 or ResNet-50)',
        model=_psp_model,
        names=_psp_names,
        options=_STRIDE,
    ),
    'bubbliiiing_unet': _bubbliiiing(
        'unet-pytorch', 'U-Net (VGG16 or ResNet-50)', model=_unet_model, names=_unet_names
    ),
    'bubbliiiing_hrnet': _bubbliiiing(
        'hrnet-pytorch',
        'HRNetV2 (W18, W32 or W48)',
        model=hrnet_model,
        names=hrnet_names,
        adjust=fold_hrnet_bias,
        note="the bias before the head's batch norm goes into its running mean; exact where the "
        'sides of the image are multiples of 32, as a letterbox makes them',
    ),
}
