# A short budget for two CPU cores on vertebra CT slices.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/vertebra.py',
    '../_base_/schedules/cpu_mobilenetv2.py', '../_base_/models/mobilenetv2_os16.py'
]
max_iters = 600
val_interval = max_iters
param_scheduler = [
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
