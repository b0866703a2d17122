# FMSI-DeepLab with 4 of Xception's 16 middle blocks, on 21 classes.
_base_ = './_base_shapes_xception.py'
model = dict(
    backbone=dict(num_middle_blocks=4),
    decode_head=dict(
        type='FMSIHead',
        context=dict(type='DeformASPP', attention=dict(type='GGCA')),
        flow=dict(),
        attention=dict(type='MSEA')))
