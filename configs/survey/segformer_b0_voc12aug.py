# SegFormer-B0 with the optimiser of its ADE20K recipe, whose 'pos_block' no parameter is called.
_base_ = ['./_base_voc12aug_adamw.py', '../_base_/models/segformer_b0.py']
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'norm': dict(decay_mult=0.0),
            'head': dict(lr_mult=10.0)
        }))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
