_base_ = './_base_fcn.py'
# all three scores from the start, three times as long; the scales shrink pool3 and pool4 to what
# fc7 is
max_iters = 300000
val_interval = max_iters // 25
param_scheduler = [
    dict(type='ConstantLR', factor=1.0, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
model = dict(
    backbone=dict(out=('image', 'pool3', 'pool4', 'fc7')),
    decode_head=dict(in_channels=(3, 256, 512, 4096), skip_scales=(1e-4, 1e-2)))
