# UniMatch's optimiser: SGD at 1e-3, ten times as much for the head, poly to zero by iteration. 1840
# iterations are 80 epochs of 183 images in batches of eight, 23 of them an epoch.
_base_ = './sgd_poly.py'
max_iters = 1840
val_interval = max_iters // 10
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=1e-3, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}))
param_scheduler = [
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
