# FMSI's head on a backbone of mmpretrain: strides 4, 16 and 32 instead of Xception's 4, 16 and 16.
# Needs mmpretrain and torchvision.
_base_ = './fmsi_xception_voc.py'
init_note = 'backbone ImageNet-1k (download), head random'
model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(
        _delete_=True,
        type='mmpretrain.ConvNeXt',
        arch='tiny',
        out_indices=(0, 2, 3),
        gap_before_final_norm=False,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/convnext/downstream/convnext-tiny_3rdparty_32xb128-noema_in1k_20220301-795e9634.pth',
            prefix='backbone.')),
    decode_head=dict(in_channels=(96, 384, 768)))
