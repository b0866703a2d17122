# Table 4, SegFormer; the size is our choice.
_base_ = ['./_base_bmseg.py', '../_base_/models/segformer_b0.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
