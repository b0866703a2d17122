# Swin-UNet in the CPU protocol, from random weights, with AdamW as Swin's recipes.
_base_ = ['../_base_/protocols/camvid180_scratch.py', '../_base_/models/swinunet.py']
init_note = 'random'
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=5e-4, betas=(0.9, 0.999), weight_decay=0.01))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    backbone=dict(init_cfg=None),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
