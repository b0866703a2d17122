"""A small network, one of single pixels, and batches with and without labels."""

import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_ext.models.segmentors.semi_inputs import Unlabelled

PREPROCESSOR = dict(type='SegDataPreProcessor', mean=[0] * 3, std=[255] * 3, size=(16, 16))
NORM = dict(type='BN')
NETWORK = dict(
    type='EncoderDecoder',
    test_cfg=ConfigDict(mode='whole'),
    data_preprocessor=PREPROCESSOR,
    backbone=dict(
        type='ResNetV1c', depth=18, base_channels=4, stem_channels=4, num_stages=4,
        strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), norm_cfg=NORM),
    decode_head=dict(
        type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, concat_input=False,
        dropout_ratio=0.1, num_classes=3, norm_cfg=NORM,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    auxiliary_head=dict(
        type='FCNHead', in_channels=16, in_index=2, channels=8, num_convs=1, concat_input=False,
        dropout_ratio=0.1, num_classes=3, norm_cfg=NORM,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4, avg_non_ignore=True)),
)  # fmt: skip


@MODELS.register_module(name='_PixelBackbone')
class PixelBackbone(nn.Module):
    def forward(self, x):
        return (x,)


TOY = dict(
    type='EncoderDecoder',
    data_preprocessor=PREPROCESSOR,
    backbone=dict(type='_PixelBackbone'),
    decode_head=dict(
        type='FCNHead', in_channels=3, in_index=0, channels=3, num_convs=0, concat_input=False,
        dropout_ratio=0, num_classes=2,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
)  # fmt: skip


def labelled(count=2, size=16):
    torch.manual_seed(5)
    samples = []
    for _ in range(count):
        meta = dict(img_shape=(size, size), pad_shape=(size, size), ori_shape=(size, size))
        sample = SegDataSample(metainfo=dict(meta, padding_size=[0] * 4))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, size, size)))
        samples.append(sample)
    return torch.randn(count, 3, size, size), samples


def unlabelled(count=3, size=16, views=2):
    torch.manual_seed(6)
    weak = torch.randn(count, 3, size, size)
    strong = tuple(weak + 0.1 * torch.randn_like(weak) for _ in range(views))
    ignore = torch.zeros(count, size, size, dtype=torch.bool)
    ignore[0, :, -4:] = True
    return Unlabelled(weak, strong, ignore, None)
