# CamVid at half resolution (240x180), 400 iterations of batch 4 at 128x128 from random weights:
# what the CPU rows share. Predictions are scaled back and scored on the full-size labels. Validated
# often, on every third image, as the rows are compared by how fast they converge.
_base_ = ['../default_runtime.py', '../datasets/camvid180.py', '../schedules/cpu_scratch.py']
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(
        type='RandomResize',
        resize_type='AlignedResize',
        scale=(240, 180),
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=(128, 128), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(indices=list(range(0, 101, 3))))
max_iters = 400
val_interval = max_iters // 8
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=50, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
test_evaluator = [dict(type='SegMetric'), dict(type='BoundaryF1Metric')]
custom_hooks = [dict(type='ChannelsLastHook')]
