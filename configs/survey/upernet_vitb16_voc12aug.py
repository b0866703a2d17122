# ViT-UPerNet of the zoo with the optimiser of its ADE20K recipe.
_base_ = ['./_base_voc.py', 'mmseg::_base_/models/upernet_vit-b16_ln_mln.py']
init_note = 'backbone ImageNet-21k, then 1k (download), heads random'
norm_cfg = dict(type='BN', requires_grad=True)  # the zoo's SyncBN needs several GPUs
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(
        custom_keys={
            'pos_embed': dict(decay_mult=0.0),
            'cls_token': dict(decay_mult=0.0),
            'norm': dict(decay_mult=0.0)
        }))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, begin=0, end=1500, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=1.0, begin=1500, end={{_base_.max_iters}}, by_epoch=False)
]
model = dict(
    # the weights are Segmenter's, of images in [-1, 1]
    data_preprocessor=dict(
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        seg_pad_val={{_base_.ignore_index}},
        size={{_base_.crop_size}}),
    pretrained=None,
    backbone=dict(
        img_size={{_base_.crop_size}},
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segmenter/vit_base_p16_384_20220308-96dfe169.pth')),
    decode_head=dict(
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        norm_cfg=norm_cfg,
        loss_decode=dict(avg_non_ignore=True)),
    auxiliary_head=dict(
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        norm_cfg=norm_cfg,
        loss_decode=dict(avg_non_ignore=True)))
