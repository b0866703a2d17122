_base_ = './fmsi_xception_voc.py'
# the stated rate taken literally, not as nominal at batch 16
lr = 0.007
optim_wrapper = dict(optimizer=dict(lr=lr))
param_scheduler = [
    dict(type='ConstantLR', factor=0.1, begin=0, end=2, by_epoch=True),
    dict(type='ConstantLR', factor=0.2, begin=1, end=3, by_epoch=True),
    dict(type='ConstantLR', factor=0.5, begin=2, end=4, by_epoch=True),
    dict(type='CosineAnnealingLR', begin=3, T_max=82, end=86, eta_min=lr / 100, by_epoch=True),
]
