# DilateFormer-tiny with the UPerNet of mmseg's Swin, for one GPU or a CPU. The data set's config adds
# num_classes, ignore_index and the preprocessor's size.
# The public weights of ImageNet-1k lie in a drive: tools/model_converters/convert.py makes a file for
# the backbone's init_cfg of them.
_base_ = ['mmseg::_base_/models/upernet_swin.py']
init_note = 'random unless init_cfg or load_from is given'
norm_cfg = dict(type='BN', requires_grad=True)  # the zoo's SyncBN needs several GPUs
model = dict(
    pretrained=None,
    backbone=dict(_delete_=True, type='DilateFormer', arch='tiny'),
    decode_head=dict(
        in_channels=[72, 144, 288, 576], norm_cfg=norm_cfg, loss_decode=dict(avg_non_ignore=True)),
    auxiliary_head=dict(
        in_channels=288, norm_cfg=norm_cfg, loss_decode=dict(avg_non_ignore=True)))
