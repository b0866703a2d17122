# Xception from random weights with the Entry, Middle and Exit taps. The data set's config adds
# num_classes, ignore_index and the preprocessor's size.
init_note = 'random'
custom_hooks = [dict(type='ChannelsLastHook')]
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0),
    backbone=dict(type='XceptionDeepLab'),
    decode_head=dict(
        in_channels=(256, 728, 2048),
        in_index=(0, 1, 2),
        mix_first=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
