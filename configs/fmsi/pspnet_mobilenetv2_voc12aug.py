# Table 1, PSPNet: a pyramid of 80 channels at output stride 16, no auxiliary head.
_base_ = './_base_voc_protocol.py'
init_note = 'backbone ImageNet-1k (dequantised int8 export), head random'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='LetterboxEncoderDecoder',
    data_preprocessor={{_base_.letterbox_preprocessor}},
    backbone=dict(
        type='MobileNetV2Dilated',
        strides=(1, 2, 2, 2, 1, 1, 1),
        dilations=(1, 1, 1, 1, 1, 2, 2),
        out_indices=(4, 6),  # a single map would come without its tuple
        norm_cfg=norm_cfg,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$MMSEG_EXT_WEIGHTS:weights}}/mobilenet_v2_imagenet.pth',
            prefix='backbone.')),
    decode_head=dict(
        type='PSPHead',
        in_channels=320,
        in_index=1,
        channels=80,
        pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1,
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        norm_cfg=norm_cfg,
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
