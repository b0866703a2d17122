# CamVid at half resolution, fine-tuned: 400 iterations of batch 8 at 128x128. A short budget that
# lets all ablation rows train on two CPU cores, no paper's protocol. Rows add a model with
# pretrained weights.
_base_ = ['../default_runtime.py', '../datasets/camvid180.py', '../schedules/cpu_mobilenetv2.py']
max_iters = 400
val_interval = max_iters
param_scheduler = [
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
