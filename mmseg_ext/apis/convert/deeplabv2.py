"""Rename the weights of public PyTorch DeepLab-v2 checkpoints to ours, and back.

Source: the parameter names of https://github.com/kazuto1011/deeplab-pytorch (MIT), release v1.0:
``base.layer1.conv1`` (stem), ``base.layer2`` to ``layer5`` (blocks of ``reduce``, ``conv3x3``,
``increase`` and ``shortcut``), ``base.aspp.c0`` to ``c3``. Its first version has ``scale.`` instead
of ``base.``, ``proj`` instead of ``shortcut``, and ``aspp.stages.c0``; these names can be read too.
No value changes. The image preprocessing of those weights is BGR of 0..255 minus (104.008, 116.669,
122.675), in every config of ``configs/deeplabv2``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...core.words import count_names
from ..run.network.recorded import settings_of

# Settings of the public networks that their weights do not show.
ASSUMED = 'rates 6, 12, 18 and 24 and scales 0.5, 0.75 and 1, which the weights do not show'
ORIGIN = 'https://github.com/kazuto1011/deeplab-pytorch'
# ids in 0..181 of COCO-Stuff that never occur: objects that COCO named but did not release
UNUSED_STUFF = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
NUM_STUFF = 182
_NORM = ('weight', 'bias', 'running_mean', 'running_var')
_BRANCHES = dict(reduce=1, conv3x3=2, increase=3)


def name_table(num_blocks: Sequence[int] = (3, 4, 23, 3), *, num_rates: int = 4) -> dict[str, str]:
    """Map modules of the public network, without prefix, to ours, in the network's order.

    Args:
        num_blocks: Blocks of each stage; the default is ResNet-101's.
        num_rates: Branches of the head.
    """
    table = {'layer1.conv1.conv': 'backbone.conv1', 'layer1.conv1.bn': 'backbone.bn1'}
    for stage, count in enumerate(num_blocks, 1):
        for block in range(count):
            theirs = f'layer{stage + 1}.block{block + 1}'
            ours = f'backbone.layer{stage}.{block}'
            for name, index in _BRANCHES.items():
                table[f'{theirs}.{name}.conv'] = f'{ours}.conv{index}'
                table[f'{theirs}.{name}.bn'] = f'{ours}.bn{index}'
            if block == 0:
                table[f'{theirs}.shortcut.conv'] = f'{ours}.downsample.0'
                table[f'{theirs}.shortcut.bn'] = f'{ours}.downsample.1'
    for branch in range(num_rates):
        table[f'aspp.c{branch}'] = f'decode_head.classifiers.{branch}'
    return table


def from_port(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a public checkpoint to our names.

    Args:
        state: Weights of ResNet-101 with the four classifiers, or without them: the COCO-trained
            initial weights, whose 1x1 classifier ``fc`` is left out.

    Returns:
        Weights for ``MultiScaleEncoderDecoder`` with ``DeepLabResNet`` and ``DeepLabV2Head``.

    Raises:
        ValueError: If a weight is unknown or missing, with its name.
    """
    plain = {_plain(key): value for key, value in state.items()}
    plain = {key: value for key, value in plain.items() if not key.startswith('fc.')}
    table = name_table()
    if not any(key.startswith('aspp.') for key in plain):
        table = {k: v for k, v in table.items() if not k.startswith('aspp.')}
    return _rename(plain, table, 'a DeepLab-v2 checkpoint of kazuto1011/deeplab-pytorch')


def to_port(state: Mapping[str, Tensor], *, prefix: str = 'base.') -> dict[str, Tensor]:
    """Rename our weights to the public names; the inverse of :func:`from_port`.

    Args:
        state: Weights of one of our DeepLab-v2 models with ResNet-101.
        prefix: Prefix of each public name.

    Raises:
        ValueError: If a weight is unknown or missing, with its name.
    """
    table = {ours: theirs for theirs, ours in name_table().items()}
    if not any(key.startswith('decode_head.') for key in state):
        table = {k: v for k, v in table.items() if not k.startswith('decode_head.')}
    renamed = _rename(state, table, 'one of our DeepLab-v2 models with ResNet-101')
    return {f'{prefix}{key}': value for key, value in renamed.items()}


def keep_supervised(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Reduce classifiers of 182 outputs to the 171 classes that are labelled in COCO-Stuff.

    Classes are in mmseg's order, which is that of the ids. Classifiers with another number of
    outputs are not changed.

    Args:
        state: Weights under our names.
    """
    kept = torch.tensor([i for i in range(NUM_STUFF) if i not in UNUSED_STUFF])
    return {
        key: value[kept]
        if key.startswith('decode_head.classifiers.') and len(value) == NUM_STUFF
        else value
        for key, value in state.items()
    }


def needed_settings(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """List the settings that converted weights need, which loading compares with the config.

    Args:
        state: Weights under our names, with or without classifiers.
    """
    images = dict(mean=[104.008, 116.669, 122.675], std=[1.0] * 3, bgr_to_rgb=False)
    model: dict[str, Any] = dict(backbone=dict(type='DeepLabResNet', depth=101))
    bias = state.get('decode_head.classifiers.0.bias')
    if bias is not None:
        model['decode_head'] = dict(
            type='DeepLabV2Head',
            in_channels=2048,
            num_classes=len(bias),
            rates=(6, 12, 18, 24),
            align_corners=False,
        )
        model['scales'] = (0.5, 0.75, 1.0)
    return settings_of(model, images)


def _plain(key: str) -> str:
    key = key.removeprefix('base.').removeprefix('scale.')
    return key.replace('.proj.', '.shortcut.').replace('aspp.stages.', 'aspp.')


def _leaves(module: str) -> Sequence[str]:
    """Return the tensors that a module must have, by its public name or ours."""
    if '.bn' in module or module.endswith('.downsample.1'):
        return _NORM
    return ('weight', 'bias') if 'aspp.' in module or 'classifiers.' in module else ('weight',)


def _rename(
    state: Mapping[str, Tensor], table: Mapping[str, str], expected: str
) -> dict[str, Tensor]:
    # a batch norm's counter is optional: old files lack it, and it changes no output
    wanted = {f'{old}.{leaf}': new for old, new in table.items() for leaf in _leaves(old)}
    known = set(wanted) | {f'{old}.num_batches_tracked' for old in table if len(_leaves(old)) == 4}
    missing = [key for key in wanted if key not in state]
    unknown = [key for key in state if key not in known]
    if missing or unknown:
        raise ValueError(
            f'not the weights of {expected}: {count_names("missing", missing)}, '
            f'{count_names("unknown", unknown)}'
        )
    return {_renamed(key, table): value for key, value in state.items()}


def _renamed(key: str, table: Mapping[str, str]) -> str:
    module, _, leaf = key.rpartition('.')
    return f'{table[module]}.{leaf}'
