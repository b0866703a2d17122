# SETR-naive on ViT-B/16, the auxiliary heads at about the same shares of the depth.
_base_ = './setr_naive_vitl16.py'
init_note = 'backbone ImageNet-21k, then 1k (download), heads random'
model = dict(
    backbone=dict(
        embed_dims=768,
        num_layers=12,
        num_heads=12,
        out_indices=(4, 7, 9, 11),
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segmenter/vit_base_p16_384_20220308-96dfe169.pth')),
    decode_head=dict(in_channels=768))
