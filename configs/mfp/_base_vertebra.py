# A short budget for two CPU cores on vertebra CT slices.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/vertebra.py',
    '../_base_/schedules/cpu_mobilenetv2.py'
]
max_iters = 600
val_interval = max_iters
param_scheduler = [
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
