# The CPU protocol for networks that learn instances.
_base_ = '../_base_/protocols/camvid180_scratch.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='LoadInstances'),
    dict(
        type='RandomResize',
        resize_type='AlignedResize',
        scale=(240, 180),
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size={{_base_.crop_size}}, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInstanceInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
