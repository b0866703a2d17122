# COCO-Stuff 10k as published models see it: images warped to 513x513. Here the warp and the five
# scales are one resize, and predictions are scored at original size.
_base_ = '../_base_/datasets/cocostuff10k.py'
crop_size = (321, 321)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(
        type='RandomChoiceResize',
        scales=[(256, 256), (384, 384), (513, 513), (641, 641), (769, 769)],  # 513 times 0.5 .. 1.5
        resize_type='AlignedResize',
        keep_ratio=False),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(513, 513), keep_ratio=False),
    dict(type='LoadLabels'),  # after it: labels keep their size
    dict(type='PackSegInputs'),
]
train_dataloader = dict(batch_size=10, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
