# UNet 3+ with deep supervision, in the CPU protocol.
_base_ = ['../_base_/protocols/camvid180_scratch.py', '../_base_/models/unet3plus.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}),
    auxiliary_head=[
        dict(
            type='ConvSegHead', in_channels=channels, in_index=index,
            num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}},
            loss_decode=[
                dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.5),
                dict(type='SoftDiceLoss', loss_weight=0.5)
            ])
        for index, channels in enumerate((1024, 320, 320, 320))
    ])
