# Mask R-CNN of torchvision as a semantic segmenter. VOC's own images have maps of instances, those
# of SBD have none here: their connected areas count as instances.
_base_ = ['./_base_voc12aug_instances.py', '../_base_/models/maskrcnn_r50.py']
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    num_classes={{_base_.num_classes}},
    ignore_index={{_base_.ignore_index}})
