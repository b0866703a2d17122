# DeepLabv3+ on MobileNetV2 at output stride 16, in the CPU protocol, from random weights.
_base_ = ['../_base_/protocols/camvid180_scratch.py', '../_base_/models/deeplabv3_mobilenetv2.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    backbone=dict(out_indices=(1, 4, 6)),
    decode_head=dict(
        _delete_=True, type='DeepLabV3PlusHead', context=dict(type='ASPP'),
        in_channels=(24, 96, 320), in_index=(0, 1, 2), mix_first=True,
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}},
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)))
