# DeepLab-v2 on ResNet-101 without input scales, in the CPU protocol, from random weights. The paper
# freezes batch norm as ImageNet has left it; random weights have nothing to freeze, so it learns.
# The rate is the paper's of the head, which has no batch norm: at the protocol's 0.05 its loss rises.
_base_ = ['../_base_/protocols/camvid180_scratch.py', '../_base_/models/deeplabv2_r101.py']
init_note = 'random'
optim_wrapper = dict(optimizer=dict(lr=2.5e-3))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    backbone=dict(
        init_cfg=None, norm_cfg=dict(type='BN', requires_grad=True), norm_eval=False),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
