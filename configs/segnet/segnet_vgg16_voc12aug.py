_base_ = './_base_voc.py'
init_note = 'encoder ImageNet-1k (torchvision vgg16_bn), decoder random'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val={{_base_.ignore_index}},
        size={{_base_.crop_size}}),
    backbone=dict(
        type='SegNet',
        arch='vgg16',
        init_cfg=dict(
            type='VGG16BNPretrained',
            checkpoint='{{$MMSEG_EXT_WEIGHTS:weights}}/vgg16_bn-6c64b313.pth')),
    decode_head=dict(
        type='ConvSegHead',
        in_channels=64,
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
