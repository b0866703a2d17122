# The published U-Net; rows add data, classes and in which protocol. Its convolutions have no padding:
# the image is extended by its mirror image, and the map is the image's size.
init_note = 'random'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0),
    backbone=dict(type='UnpaddedUNet', mirror='always'),
    decode_head=dict(
        type='UnpaddedSegHead',
        in_channels=64,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
