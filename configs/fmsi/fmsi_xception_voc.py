# Table 1, "Ours", on voc12aug; documented commands call it by this name.
_base_ = './_base_voc12aug_xception.py'
model = dict(
    decode_head=dict(
        type='FMSIHead',
        context=dict(type='DeformASPP', attention=dict(type='GGCA')),
        flow=dict(),
        attention=dict(type='MSEA')))
