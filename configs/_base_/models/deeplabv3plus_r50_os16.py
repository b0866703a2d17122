# DeepLabv3+ on ResNet-50 at output stride 16, as UniMatch has it: dense 3x3 convolutions of rates 6, 12
# and 18, no dropout. Its stem is twice as wide as that of the zoo's weights, which are taken here. The
# data set's config adds num_classes, ignore_index and the preprocessor's size.
init_note = 'backbone ImageNet-1k (download), head random'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0),
    backbone=dict(
        type='ResNetV1c',
        depth=50,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        contract_dilation=True,
        out_indices=(0, 3),
        norm_cfg=dict(type='BN', requires_grad=True),
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet50_v1c')),
    decode_head=dict(
        type='DeepLabV3PlusHead',
        in_channels=(256, 2048),
        in_index=(0, 1),
        context=dict(type='ASPP', rates=(6, 12, 18)),
        dropout=(0.0, 0.0),
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
