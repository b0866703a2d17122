# SegNet on VGG16 with batch norm. The data set's config adds num_classes, ignore_index and the
# preprocessor's size.
init_note = 'encoder ImageNet-1k (torchvision vgg16_bn), decoder random'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0),
    backbone=dict(
        type='SegNet',
        arch='vgg16',
        init_cfg=dict(
            type='VGG16BNPretrained',
            checkpoint='{{$MMSEG_EXT_WEIGHTS:weights}}/vgg16_bn-6c64b313.pth')),
    decode_head=dict(
        type='ConvSegHead',
        in_channels=64,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
