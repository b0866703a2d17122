# The labels of 183 images of VOC 2012 alone: what the semi-supervised rows are to surpass.
_base_ = [
    '../_base_/protocols/voc12aug_321.py', '../_base_/schedules/sgd_poly_head10.py',
    '../_base_/models/deeplabv3plus_r50_os16.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
