# BM-Seg with the baseline's decoder; rows add the context.
_base_ = ['./_base_bmseg.py', './_base_deeplabv3plus.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
