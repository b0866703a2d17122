# Table 4, TransU-Net, R50 + ViT-B/16: the size is our choice.
_base_ = ['./_base_bmseg.py', '../_base_/models/transunet.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    backbone=dict(img_size=512),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
