# Swin-UNet with the rate and the losses of its public code, whose data are medical. The public code
# also starts the decoder from the encoder's weights, mirrored.
_base_ = './_base_voc.py'
init_note = 'encoder ImageNet-1k (download), decoder random'
optim_wrapper = dict(optimizer=dict(lr=0.05, weight_decay=1e-4))
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val={{_base_.ignore_index}},
        size={{_base_.crop_size}}),
    backbone=dict(
        type='SwinUNet',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/swin_tiny_patch4_window7_224_20220317-1cdeb081.pth')),
    decode_head=dict(
        type='ConvSegHead',
        in_channels=96,
        kernel_size=1,
        bias=False,
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        loss_decode=[
            dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.4),
            dict(type='SoftDiceLoss', squared=True, loss_weight=0.6)
        ]),
    test_cfg=dict(mode='whole'))
