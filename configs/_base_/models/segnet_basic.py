# SegNet-Basic from random weights; its local response normalisation expects images of 0 to 255. The
# data set's config adds num_classes, ignore_index and the preprocessor's size.
init_note = 'random'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[0.0, 0.0, 0.0],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
        pad_val=0),
    backbone=dict(type='SegNet', arch='basic'),
    decode_head=dict(
        type='ConvSegHead',
        in_channels=64,
        kernel_size=1,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
