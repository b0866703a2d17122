# A short budget for two CPU cores on 24 slices of BM-Seg: a check that it learns, not a benchmark.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/bmseg24.py',
    '../_base_/schedules/cpu_mobilenetv2.py'
]
max_iters = 250
# A lesion covers one pixel in fifty: with cross entropy alone, and at the rate of other rows, the
# first hundred iterations found background only.
losses = [
    dict(type='CrossEntropyLoss', avg_non_ignore=True),
    dict(type='SoftDiceLoss'),
]
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=0.005))
val_interval = max_iters
param_scheduler = [
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
