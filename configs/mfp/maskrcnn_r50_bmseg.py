# Table 4, Mask-RCNN; the backbone is our choice. BM-Seg has no maps of instances: connected lesions
# count as one.
_base_ = ['./_base_bmseg.py', '../_base_/models/maskrcnn_r50.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    num_classes={{_base_.num_classes}},
    ignore_index={{_base_.ignore_index}})
