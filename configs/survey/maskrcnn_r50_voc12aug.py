# Mask R-CNN of torchvision as a semantic segmenter. VOC's own images have maps of instances, those of
# SBD have none here: their connected areas count as instances.
_base_ = ['./_base_voc.py', '../_base_/models/maskrcnn_r50.py']
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='LoadInstances'),
    dict(type='RandomResize', scale=(500, 500), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size={{_base_.crop_size}}, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInstanceInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    num_classes={{_base_.num_classes}},
    ignore_index={{_base_.ignore_index}})
