# CamVid at full size, 12000 iterations, as the baseline of the same name.
_base_ = '../fmsi/_base_camvid_12k_mobilenetv2.py'
model = dict(
    backbone=dict(out_indices=(1, 2, 3, 6)),
    decode_head=dict(
        _delete_=True,
        type='MFPHead',  # AFFP, PSCAN and DySample are its defaults
        in_channels=(24, 32, 64, 320),
        in_index=(0, 1, 2, 3),
        align_corners=False,
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)))
