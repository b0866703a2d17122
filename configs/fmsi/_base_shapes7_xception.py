# Xception from scratch on the 7 classes of the embedded data set: 300 iterations, a few minutes on
# two CPU cores.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/shapes7.py',
    '../_base_/schedules/cpu_scratch.py', '../_base_/models/xception_scratch.py'
]
max_iters = 300
val_interval = max_iters // 2
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=50, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
# a kill costs fifty iterations at most
default_hooks = dict(checkpoint=dict(interval=50, max_keep_ckpts=2))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
