# Table 1, PSPNet: a pyramid of 80 channels at output stride 16, no auxiliary head.
_base_ = './_base_voc12aug_mobilenetv2.py'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    # a single map would come without its tuple
    backbone=dict(out_indices=(4, 6), norm_cfg=norm_cfg),
    decode_head=dict(
        type='PSPHead', in_channels=320, in_index=1, channels=80, pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1, norm_cfg=norm_cfg, align_corners=True))
