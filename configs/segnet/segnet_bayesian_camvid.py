# Bayesian SegNet: dropout at the six central places, 60k iterations, 4 passes at test time.
_base_ = './segnet_vgg16_camvid.py'
max_iters = 60000
val_interval = max_iters // 10
param_scheduler = [
    dict(type='ConstantLR', factor=1.0, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
model = dict(
    type='MonteCarloEncoderDecoder', num_passes=4, backbone=dict(bayesian='center', dropout=0.5))
