# CamVid, fine-tuned: 2000 iterations of batch 8 at 256x256, tested at full size. A budget for two
# CPU cores (about 25 minutes with MobileNetV2), no paper's protocol. Rows add a model with
# pretrained weights.
_base_ = ['../default_runtime.py', '../datasets/camvid.py', '../schedules/cpu_mobilenetv2.py']
max_iters = 2000
val_interval = max_iters
param_scheduler = [
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
