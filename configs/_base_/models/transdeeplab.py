# TransDeepLab of two levels with the losses of its public code, which also starts the decoder from
# the encoder's weights where their shapes fit. The data set's config adds num_classes,
# ignore_index and the preprocessor's size.
init_note = 'random unless init_cfg or load_from is given'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0),
    backbone=dict(type='TransDeepLab'),
    decode_head=dict(
        type='ConvSegHead',
        in_channels=192,
        kernel_size=1,
        bias=False,
        loss_decode=[
            dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.4),
            dict(type='SoftDiceLoss', squared=True, loss_weight=0.6)
        ]),
    test_cfg=dict(mode='whole'))
