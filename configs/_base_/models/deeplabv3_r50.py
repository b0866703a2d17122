# DeepLabv3 of the zoo on ResNet-50, for one GPU or a CPU. The data set's config adds num_classes,
# ignore_index and the preprocessor's size.
_base_ = ['mmseg::_base_/models/deeplabv3_r50-d8.py']
init_note = 'backbone ImageNet-1k (download), head random'
norm_cfg = dict(type='BN', requires_grad=True)  # the zoo's SyncBN needs several GPUs
model = dict(
    pretrained=None,
    backbone=dict(
        norm_cfg=norm_cfg,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet50_v1c')),
    decode_head=dict(norm_cfg=norm_cfg, loss_decode=dict(avg_non_ignore=True)),
    auxiliary_head=dict(norm_cfg=norm_cfg, loss_decode=dict(avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
