# SegNet-Basic in the CPU protocol of the ResSegNet rows, with their loss.
_base_ = './_base_camvid180.py'
init_note = 'random'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[0.0, 0.0, 0.0],
        std=[1.0, 1.0, 1.0],  # its LRN expects 0 to 255
        bgr_to_rgb=False,
        pad_val=0,
        seg_pad_val={{_base_.ignore_index}},
        size={{_base_.crop_size}}),
    backbone=dict(type='SegNet', arch='basic'),
    decode_head=dict(
        type='ConvSegHead',
        in_channels=64,
        kernel_size=1,
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
