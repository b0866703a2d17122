# U-Net of the zoo with its auxiliary head, for one GPU or a CPU. The data set's config adds
# num_classes, ignore_index and the preprocessor's size.
_base_ = ['mmseg::_base_/models/fcn_unet_s5-d16.py']
init_note = 'random'
norm_cfg = dict(type='BN', requires_grad=True)  # the zoo's SyncBN needs several GPUs
model = dict(
    pretrained=None,
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(norm_cfg=norm_cfg, loss_decode=dict(avg_non_ignore=True)),
    auxiliary_head=dict(norm_cfg=norm_cfg, loss_decode=dict(avg_non_ignore=True)),
    test_cfg=dict(_delete_=True, mode='whole'))
