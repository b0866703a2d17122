# The repository's default, which no table of the paper has: DeepLabv3+ on MobileNetV2 at images of
# 0..1.
_base_ = './_base_voc12aug_mobilenetv2.py'
model = dict(
    backbone=dict(out_indices=(1, 4, 6)),
    decode_head=dict(
        type='DeepLabV3PlusHead', in_channels=(24, 96, 320), in_index=(0, 1, 2)))
