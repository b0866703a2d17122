# MFP-DeepLabv3+, whose head takes four maps of the baseline's backbone; AFFP, PSCAN and DySample
# are its defaults. The data set's config adds num_classes, ignore_index and the preprocessor's
# size.
_base_ = '../_base_/models/mobilenetv2_os16.py'
model = dict(
    backbone=dict(out_indices=(1, 2, 3, 6)),
    decode_head=dict(
        _delete_=True,
        type='MFPHead',
        in_channels=(24, 32, 64, 320),
        in_index=(0, 1, 2, 3),
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)))
