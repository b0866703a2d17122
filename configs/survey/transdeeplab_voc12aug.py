# TransDeepLab with the rate of its public code, whose data are medical, from ImageNet's Swin-T.
_base_ = ['../_base_/protocols/voc12aug_40k.py', '../_base_/models/transdeeplab.py']
init_note = 'encoder ImageNet-1k (download), pyramid and decoder random'
optim_wrapper = dict(optimizer=dict(lr=0.05, weight_decay=1e-4))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/swin_tiny_patch4_window7_224_20220317-1cdeb081.pth')),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
