"""A network of stride 8 that is built in no time, for tests of what is done with its outputs."""

from typing import Any, Optional

import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import mmseg_ext  # noqa: F401


def small_network(*, head: Optional[dict] = None, **changes: Any) -> Any:
    """Build the network with the same random weights each time; 5 classes, 3 channels.

    Args:
        head: Settings of its head that differ.
        changes: Settings of the segmentor that differ.
    """
    init_default_scope('mmseg')
    torch.manual_seed(0)
    backbone = dict(
        type='ResNetV1c', depth=18, base_channels=4, stem_channels=4, num_stages=4,
        strides=(1, 2, 1, 1), dilations=(1, 1, 1, 1),
    )  # fmt: skip
    decode_head = dict(type='FCNHead', in_channels=32, in_index=3, channels=8, num_classes=5)
    decode_head.update(head or {})
    if decode_head['type'] == 'FCNHead':
        decode_head.setdefault('num_convs', 1)
    model = dict(
        type='EncoderDecoder', backbone=backbone, decode_head=decode_head, train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )  # fmt: skip
    model.update(changes)
    return MODELS.build(ConfigDict(model))
