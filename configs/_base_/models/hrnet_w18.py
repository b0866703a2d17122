# HRNetV2-W18, for one GPU or a CPU: the zoo's, with the aligned corners of bubbliiiing/hrnet-pytorch in
# branches, head and last resize. The data set's config adds num_classes, ignore_index and the
# preprocessor's size.
_base_ = ['mmseg::_base_/models/fcn_hr18.py']
init_note = 'backbone ImageNet-1k (download), head random'
norm_cfg = dict(type='BN', requires_grad=True)  # the zoo's SyncBN needs several GPUs
model = dict(
    pretrained=None,
    backbone=dict(
        type='HRNetAlignCorners',
        norm_cfg=norm_cfg,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://msra/hrnetv2_w18')),
    decode_head=dict(
        norm_cfg=norm_cfg, align_corners=True, loss_decode=dict(avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
