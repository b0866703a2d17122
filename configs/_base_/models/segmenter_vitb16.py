# Segmenter with its mask transformer of the zoo. The data set's config adds num_classes,
# ignore_index, the size of preprocessor and backbone, and that of the windows of a test.
_base_ = ['mmseg::_base_/models/segmenter_vit-b16_mask.py']
init_note = 'backbone ImageNet-21k, then 1k (download), head random'
model = dict(
    pretrained=None,
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint={{_base_.checkpoint}})),
    decode_head=dict(loss_decode=dict(avg_non_ignore=True)))
