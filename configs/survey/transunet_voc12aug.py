# TransUNet with the rate and the losses of its paper, whose data are medical.
_base_ = ['../_base_/protocols/voc12aug_40k.py', '../_base_/models/transunet.py']
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    backbone=dict(img_size=320),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
