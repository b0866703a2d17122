# Segmenter with its mask transformer of the zoo and its optimiser.
_base_ = ['./_base_voc.py', 'mmseg::_base_/models/segmenter_vit-b16_mask.py']
init_note = 'backbone ImageNet-21k, then 1k (download), head random'
optim_wrapper = dict(optimizer=dict(lr=0.001, weight_decay=0.0))
model = dict(
    data_preprocessor=dict(
        seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    pretrained=None,
    backbone=dict(
        img_size={{_base_.crop_size}},
        init_cfg=dict(type='Pretrained', checkpoint={{_base_.checkpoint}})),
    decode_head=dict(
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        loss_decode=dict(avg_non_ignore=True)),
    test_cfg=dict(mode='slide', crop_size={{_base_.crop_size}}, stride=(300, 300)))
