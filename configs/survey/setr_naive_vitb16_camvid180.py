# SETR-naive on ViT-B/16, which a CPU trains, with its optimiser.
_base_ = ['../_base_/protocols/camvid180_400.py', '../_base_/models/setr_naive_vitb16.py']
optim_wrapper = dict(
    optimizer=dict(lr=0.01, weight_decay=0.0),
    paramwise_cfg=dict(_delete_=True, custom_keys={'head': dict(lr_mult=10.0)}))
test_evaluator = [dict(type='SegMetric'), dict(type='BoundaryF1Metric')]
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    backbone=dict(img_size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}),
    auxiliary_head=[
        dict(
            type='SETRUPHead', in_channels=768, channels=256, in_index=index,
            num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}},
            dropout_ratio=0, norm_cfg=dict(type='BN', requires_grad=True), num_convs=2,
            kernel_size=1, align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.4))
        for index in range(3)
    ],
    test_cfg=dict(mode='slide', crop_size={{_base_.crop_size}}, stride=(85, 85)))
