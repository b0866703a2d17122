# CamVid at half resolution with MobileNetV2 from ImageNet; rows add the head.
_base_ = ['../_base_/protocols/camvid180_400.py', '../_base_/models/mobilenetv2_os16.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
