# Table 4, U-Net, in the form of the zoo.
_base_ = ['./_base_bmseg_zoo.py', 'mmseg::_base_/models/fcn_unet_s5-d16.py']
init_note = 'random'
norm_cfg = dict(type='BN', requires_grad=True)  # the zoo's SyncBN needs several GPUs
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    pretrained=None,
    backbone=dict(norm_cfg=norm_cfg),
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
    test_cfg=dict(_delete_=True, mode='whole'))
