# The network of all ResSegNet rows, from random weights: with (2, 2, 3) convolutions the encoder
# could start from VGG16's first three stages, of which the paper says nothing.
init_note = 'random'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0),
    backbone=dict(type='ResSegNet'),
    decode_head=dict(type='ConvSegHead', kernel_size=1),
    test_cfg=dict(mode='whole'))
