# Mask R-CNN of torchvision as a semantic segmenter. VOC's own images have maps of instances, those of
# SBD have none here: their connected areas count as instances. torchvision enlarges to 800 pixels.
_base_ = './_base_voc.py'
init_note = 'backbone ImageNet-1k (torchvision download), rest random'
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
    type='MaskRCNNSegmentor',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[0.0, 0.0, 0.0],  # torchvision normalises
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val={{_base_.ignore_index}},
        size={{_base_.crop_size}}),
    num_classes={{_base_.num_classes}},
    ignore_index={{_base_.ignore_index}},
    detector=dict(weights_backbone='IMAGENET1K_V1'))
