# Trained on COCO-Stuff 10k's train (9,000), scored on its test images (1,000). Published models see
# images warped to 513x513: here the warp and the five scales are one resize, and predictions are
# scored at original size.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/cocostuff10k.py',
    '../_base_/schedules/sgd_poly_deeplabv2.py', '../_base_/models/deeplabv2_r101_msc.py'
]
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
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size=crop_size),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
