# PSPNet on MobileNetV2 at output stride 16, in the CPU protocol, from random weights.
_base_ = ['../_base_/protocols/camvid180_scratch.py', '../_base_/models/deeplabv3_mobilenetv2.py']
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        _delete_=True, type='PSPHead', in_channels=320, in_index=1, channels=80,
        pool_scales=(1, 2, 3, 6), dropout_ratio=0.1, norm_cfg=norm_cfg, align_corners=False,
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}},
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)))
