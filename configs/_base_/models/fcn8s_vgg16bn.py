# FCN-8s in one go from random weights: with batch norms, for which VGG16 was too early, with fc6
# and fc7 of 512 channels instead of 4096, and without the border of 100 pixels. The data set's
# config adds num_classes, ignore_index and the preprocessor's size.
init_note = 'random'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0),
    backbone=dict(
        type='VGG16',
        out=('image', 'pool3', 'pool4', 'fc7'),
        batch_norm=True,
        ceil_mode=True,
        fc_channels=512),
    decode_head=dict(
        type='FCNSkipHead',
        in_channels=(3, 256, 512, 512),
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
