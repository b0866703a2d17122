_base_ = './_base_voc12aug_xception.py'
model = dict(
    decode_head=dict(
        type='FMSIHead',
        context=dict(type='DeformASPP', attention=dict(type='GGCA')),
        flow=dict()))
