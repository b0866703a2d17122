# The VOC 2012 subset with MobileNetV2 from ImageNet, output stride 16: 400 iterations of batch 8 at
# 256x256, tested at full size. A budget for two CPU cores, not the paper's protocol.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/voc12_subset.py',
    '../_base_/schedules/sgd_poly.py'
]
init_note = 'backbone ImageNet-1k (dequantised int8 export), head random'
max_iters = 400
val_interval = max_iters
optim_wrapper = dict(
    type='Bf16OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=5.0)}))
param_scheduler = [
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
custom_hooks = [dict(type='ChannelsLastHook')]
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val={{_base_.ignore_index}},
        size={{_base_.crop_size}}),
    backbone=dict(
        type='MobileNetV2Dilated',
        widen_factor=1.0,
        strides=(1, 2, 2, 2, 1, 1, 1),
        dilations=(1, 1, 1, 1, 1, 2, 2),
        out_indices=(1, 4, 6),
        norm_cfg=dict(type='BN'),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$MMSEG_EXT_WEIGHTS:weights}}/mobilenet_v2_imagenet.pth',
            prefix='backbone.')),
    decode_head=dict(
        in_channels=(24, 96, 320),
        in_index=(0, 1, 2),
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
