# Table 4, Non-local; the backbone is our choice.
_base_ = ['./_base_bmseg_zoo.py', 'mmseg::_base_/models/nonlocal_r50-d8.py']
init_note = 'backbone ImageNet-1k (download), head random'
norm_cfg = dict(type='BN', requires_grad=True)  # the zoo's SyncBN needs several GPUs
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    pretrained=None,
    backbone=dict(
        norm_cfg=norm_cfg,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet50_v1c')),
    decode_head=dict(
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        norm_cfg=norm_cfg,
        loss_decode=dict(avg_non_ignore=True)),
    auxiliary_head=dict(
        norm_cfg=norm_cfg,
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        loss_decode=dict(avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
