# SETR-MLA with its optimiser. Its four auxiliary heads are a list, which is stated whole.
_base_ = ['../_base_/protocols/voc12aug_40k.py', '../_base_/models/setr_mla_vitl16.py']
optim_wrapper = dict(
    optimizer=dict(lr=0.001, weight_decay=0.0),
    paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=10.0)}))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    backbone=dict(img_size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}),
    auxiliary_head=[
        dict(
            type='FCNHead', in_channels=256, channels=256, in_index=index,
            num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}},
            dropout_ratio=0, num_convs=0, kernel_size=1, concat_input=False, align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.4))
        for index in range(4)
    ],
    test_cfg=dict(mode='slide', crop_size={{_base_.crop_size}}, stride=(213, 213)))
