# Table 1, U-Net.
_base_ = ['./_base_voc12aug.py', '../_base_/models/unet_vgg16.py']
model = dict(
    type='LetterboxEncoderDecoder',
    data_preprocessor={{_base_.letterbox_preprocessor}},
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
