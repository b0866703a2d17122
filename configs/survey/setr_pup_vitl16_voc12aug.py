# SETR with progressive upsampling of the zoo and its optimiser.
_base_ = ['./_base_voc.py', 'mmseg::_base_/models/setr_pup.py']
init_note = 'backbone ImageNet-21k, then 1k (download), heads random'
norm_cfg = dict(type='BN', requires_grad=True)  # the zoo's SyncBN needs several GPUs
optim_wrapper = dict(
    optimizer=dict(lr=0.001, weight_decay=0.0),
    paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=10.0)}))
model = dict(
    # the weights are of images in [-1, 1]
    data_preprocessor=dict(
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        seg_pad_val={{_base_.ignore_index}},
        size={{_base_.crop_size}}),
    pretrained=None,
    backbone=dict(
        img_size={{_base_.crop_size}},
        drop_rate=0.0,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segmenter/vit_large_p16_384_20220308-d4efb41d.pth')),
    decode_head=dict(
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        norm_cfg=norm_cfg,
        loss_decode=dict(avg_non_ignore=True)),
    auxiliary_head=[
        dict(
            type='SETRUPHead',
            in_channels=1024,
            channels=256,
            in_index=index,
            num_classes={{_base_.num_classes}},
            ignore_index={{_base_.ignore_index}},
            dropout_ratio=0,
            norm_cfg=norm_cfg,
            num_convs=2,
            kernel_size=3,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.4))
        for index in range(3)
    ],
    test_cfg=dict(mode='slide', crop_size={{_base_.crop_size}}, stride=(213, 213)))
