# UNet 3+. The data set's config adds num_classes, ignore_index and the preprocessor's size: to the
# head and to the four of deep supervision, a list that it states whole.
init_note = 'random'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0),
    backbone=dict(type='UNet3Plus'),
    decode_head=dict(
        type='ConvSegHead',
        in_channels=320,
        loss_decode=[
            dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.5),
            dict(type='SoftDiceLoss', loss_weight=0.5)
        ]),
    test_cfg=dict(mode='whole'))
