# Segmenter with its optimiser.
_base_ = ['../_base_/protocols/voc12aug_40k.py', '../_base_/models/segmenter_vitb16.py']
optim_wrapper = dict(optimizer=dict(lr=0.001, weight_decay=0.0))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    backbone=dict(img_size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}),
    test_cfg=dict(mode='slide', crop_size={{_base_.crop_size}}, stride=(300, 300)))
