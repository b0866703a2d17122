# SegNet-Basic: its rate is a hundred times that of SegNet, its schedule a quarter.
_base_ = './_base_segnet_camvid.py'
init_note = 'random'
max_iters = 10000
val_interval = max_iters // 10
# The authors' Basic decays scale and shift of its batch norms, as its layers set no factor.
optim_wrapper = dict(optimizer=dict(lr=0.1), paramwise_cfg=dict(norm_decay_mult=1.0))
param_scheduler = [
    dict(type='ConstantLR', factor=1.0, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
model = dict(
    data_preprocessor=dict(
        mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),  # its LRN expects 0 to 255
    backbone=dict(arch='basic'),
    decode_head=dict(kernel_size=1))
