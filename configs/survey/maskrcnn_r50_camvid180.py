# Mask R-CNN of torchvision in the CPU protocol, from random weights, at a shorter side of 256 pixels.
# CamVid has no background: where no instance is found, the label is the most frequent class, road.
# Connected areas of the other classes count as instances.
_base_ = ['./_base_camvid180_instances.py', '../_base_/models/maskrcnn_r50.py']
init_note = 'random'
optim_wrapper = dict(optimizer=dict(lr=0.01))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    detector=dict(weights_backbone=None, min_size=256, max_size=512),
    background_index=3,
    num_classes={{_base_.num_classes}},
    ignore_index={{_base_.ignore_index}})
