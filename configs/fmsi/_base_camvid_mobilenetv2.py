# CamVid with MobileNetV2 from ImageNet, output stride 16; rows add the head.
_base_ = ['../_base_/protocols/camvid_2k.py', '../_base_/models/mobilenetv2_os16.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        # With True, maps of even size are stretched: at stride 4, by 3 pixels across the image.
        align_corners=False,
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
