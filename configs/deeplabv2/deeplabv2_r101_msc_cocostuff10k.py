# Trained on COCO-Stuff 10k's train (9,000), scored on its test images (1,000).
_base_ = [
    '../_base_/default_runtime.py', './_base_cocostuff10k.py',
    '../_base_/schedules/sgd_poly_deeplabv2.py', '../_base_/models/deeplabv2_r101_msc.py'
]
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
