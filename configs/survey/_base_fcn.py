# FCN on VOC 2012 with SBD's masks, as its authors train: one whole image a step, a loss summed over
# pixels, momentum 0.99, a fixed rate, biases at twice the rate without decay. Rows add what the
# skips need.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/voc12aug.py',
    '../_base_/schedules/sgd_poly.py'
]
init_note = 'VGG16 with fc6 and fc7 ImageNet-1k (Caffe), the rest zero or bilinear'
crop_size = (500, 500)  # no image of VOC is larger: padded at right and below, never cut
padding = 'pad100'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(batch_size=1, dataset=dict(pipeline=train_pipeline))
max_iters = 100000
val_interval = max_iters // 25
optim_wrapper = dict(
    optimizer=dict(lr=1e-10, momentum=0.99, weight_decay=5e-4),
    paramwise_cfg=dict(bias_lr_mult=2.0, bias_decay_mult=0.0))
param_scheduler = [
    dict(type='ConstantLR', factor=1.0, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[104.00699, 116.66877, 122.67892],  # BGR
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
        pad_val=0,  # after the mean is subtracted
        seg_pad_val={{_base_.ignore_index}},
        size=crop_size),
    backbone=dict(
        type='VGG16',
        padding=padding,
        ceil_mode=True,
        # Caffe's weights, with torchvision's names. Rates and skip scales are made for maps of an
        # image of 0 to 255; those of torchvision's own weights are far smaller.
        init_cfg=dict(
            type='VGG16Pretrained',
            checkpoint='{{$MMSEG_EXT_WEIGHTS:weights}}/vgg16-00b39a1b.pth')),
    decode_head=dict(
        type='FCNSkipHead',
        padding=padding,
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        loss_decode=dict(type='CrossEntropyLoss', reduction='sum', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
