# CamVid at half resolution (240x180), Xception from scratch: 400 iterations of batch 8 at 128x128,
# a budget for two CPU cores. Predictions are scaled back and scored on the full-size labels.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/camvid180.py',
    '../_base_/schedules/sgd_poly.py'
]
init_note = 'random'
max_iters = 400
val_interval = max_iters
optim_wrapper = dict(
    type='Bf16OptimWrapper',
    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=50, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
custom_hooks = [dict(type='ChannelsLastHook')]
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val={{_base_.ignore_index}},
        size={{_base_.crop_size}}),
    backbone=dict(type='XceptionDeepLab'),
    decode_head=dict(
        in_channels=(256, 728, 2048),
        in_index=(0, 1, 2),
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
