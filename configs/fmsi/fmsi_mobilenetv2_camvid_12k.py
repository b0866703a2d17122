_base_ = './_base_camvid_12k_mobilenetv2.py'
model = dict(
    decode_head=dict(
        type='FMSIHead',
        context=dict(type='DeformASPP', attention=dict(type='GGCA')),
        flow=dict(channels=48, entry_lateral=True),
        attention=dict(type='MSEA')))
