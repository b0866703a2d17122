# The protocol of Tables 1-3 with MobileNetV2 from ImageNet at images of 0..1; rows add the maps and
# the head.
_base_ = './_base_voc12aug.py'
init_note = 'backbone ImageNet-1k (dequantised int8 export), head random'
model = dict(
    type='LetterboxEncoderDecoder',
    data_preprocessor={{_base_.letterbox_preprocessor}},
    backbone=dict(
        type='MobileNetV2Dilated',
        strides=(1, 2, 2, 2, 1, 1, 1),
        dilations=(1, 1, 1, 1, 1, 2, 2),
        norm_cfg=dict(type='BN'),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$MMSEG_EXT_WEIGHTS:weights}}/mobilenet_v2_imagenet.pth',
            prefix='backbone.')),
    decode_head=dict(
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
