# Trained on COCO-Stuff's train2017 (118,287), scored on val2017 (5,000) at original size.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/cocostuff164k.py', './_base_augment.py',
    '../_base_/schedules/sgd_poly_deeplabv2_100k.py', '../_base_/models/deeplabv2_r101_msc.py'
]
crop_size = {{_base_.deeplabv2_crop}}
train_dataloader = dict(batch_size=10, dataset=dict(pipeline={{_base_.deeplabv2_pipeline}}))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.deeplabv2_crop}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
