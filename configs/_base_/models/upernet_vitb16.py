# ViT-UPerNet of the zoo, for one GPU or a CPU. The data set's config adds num_classes, ignore_index
# and the size of preprocessor and backbone.
_base_ = ['mmseg::_base_/models/upernet_vit-b16_ln_mln.py']
init_note = 'backbone ImageNet-21k, then 1k (download), heads random'
norm_cfg = dict(type='BN', requires_grad=True)  # the zoo's SyncBN needs several GPUs
model = dict(
    # the weights are Segmenter's, of images in [-1, 1]
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    pretrained=None,
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segmenter/vit_base_p16_384_20220308-96dfe169.pth')),
    decode_head=dict(norm_cfg=norm_cfg, loss_decode=dict(avg_non_ignore=True)),
    auxiliary_head=dict(norm_cfg=norm_cfg, loss_decode=dict(avg_non_ignore=True)))
