# DeepLab-v2's optimiser over 100,000 iterations, for data sets of the size of COCO.
_base_ = './sgd_poly_deeplabv2.py'
max_iters = 100000
val_interval = max_iters // 10
param_scheduler = [
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
