# DeepLabv3 of the zoo, at output stride 8 with its auxiliary head.
_base_ = ['../_base_/protocols/voc12aug_40k.py', '../_base_/models/deeplabv3_r50.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}),
    auxiliary_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
