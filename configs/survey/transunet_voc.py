# TransUNet with the rate and the losses of its paper, whose data are medical.
_base_ = './_base_voc.py'
# The public code starts from R50+ViT-B_16 of ImageNet-21k.
init_note = 'random unless load_from is given'
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val={{_base_.ignore_index}},
        size={{_base_.crop_size}}),
    backbone=dict(type='TransUNet', img_size=320),
    decode_head=dict(
        type='ConvSegHead',
        in_channels=16,
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        loss_decode=[
            dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.5),
            dict(type='SoftDiceLoss', squared=True, loss_weight=0.5)
        ]),
    test_cfg=dict(mode='whole'))
