# With batch norm: without one, random weights would need a rate of their own.
_base_ = ['../_base_/protocols/voc12aug_40k.py', './_base_unet_unpadded.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    backbone=dict(batch_norm=True),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
