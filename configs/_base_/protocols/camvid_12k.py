# CamVid, fine-tuned at the length that published recipes train for: 12000 iterations of batch 8 at
# 256x256 show as many pixels as 100 epochs of batch 4 at 480x360. About four and a half hours on
# one CPU core with MobileNetV2, so that checkpoints are close and two of them are kept.
_base_ = ['../default_runtime.py', '../datasets/camvid.py', '../schedules/cpu_mobilenetv2.py']
max_iters = 12000
val_interval = 1000
param_scheduler = [
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=500, max_keep_ckpts=2))
