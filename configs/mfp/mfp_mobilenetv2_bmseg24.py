_base_ = './_base_bmseg24.py'
model = dict(
    backbone=dict(out_indices=(1, 2, 3, 6)),
    decode_head=dict(
        _delete_=True,
        type='MFPHead',  # AFFP, PSCAN and DySample are its defaults
        in_channels=(24, 32, 64, 320),
        in_index=(0, 1, 2, 3),
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        loss_decode={{_base_.losses}}))
