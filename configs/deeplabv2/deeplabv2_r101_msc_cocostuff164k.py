# Trained on COCO-Stuff's train2017 (118,287), scored on val2017 (5,000) at original size.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/cocostuff164k.py',
    '../_base_/schedules/sgd_poly_deeplabv2.py', '../_base_/models/deeplabv2_r101_msc.py',
    './_base_augment.py'
]
crop_size = {{_base_.deeplabv2_crop}}
max_iters = 100000
val_interval = max_iters // 10
train_dataloader = dict(
    batch_size=10, dataset=dict(pipeline={{_base_.deeplabv2_pipeline}}))
param_scheduler = [
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.deeplabv2_crop}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
