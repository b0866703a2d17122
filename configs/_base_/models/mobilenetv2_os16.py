# MobileNetV2 from ImageNet at output stride 16, with the Entry, Middle and Exit taps (24, 96 and 320
# channels). The data set's config adds num_classes, ignore_index and the preprocessor's size.
init_note = 'backbone ImageNet-1k (dequantised int8 export), head random'
custom_hooks = [dict(type='ChannelsLastHook')]
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0),
    backbone=dict(
        type='MobileNetV2Dilated',
        widen_factor=1.0,
        strides=(1, 2, 2, 2, 1, 1, 1),
        dilations=(1, 1, 1, 1, 1, 2, 2),
        out_indices=(1, 4, 6),
        norm_cfg=dict(type='BN'),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$MMSEG_EXT_WEIGHTS:weights}}/mobilenet_v2_imagenet.pth',
            prefix='backbone.')),
    decode_head=dict(
        in_channels=(24, 96, 320),
        in_index=(0, 1, 2),
        mix_first=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
