# FMSI's head on timm's Xception-65, which has ImageNet weights; the middle map is that of 1024
# channels behind the middle blocks, ours has 728. Needs timm and torchvision.
_base_ = './fmsi_xception_voc.py'
init_note = 'backbone ImageNet-1k (timm download), head random'
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='xception65',
        pretrained=True,
        output_stride=16,
        out_indices=(1, 3, 4)),
    decode_head=dict(in_channels=(256, 1024, 2048)))
