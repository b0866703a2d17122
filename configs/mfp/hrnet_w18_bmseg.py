# Table 4, HRNet; the width and the aligned corners of the public PyTorch network are our choice.
_base_ = ['./_base_bmseg.py', '../_base_/models/hrnet_w18.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
