# The SegNet authors' protocol on CamVid: whole images at 480x360, no augmentation, batch 4, a fixed
# rate, their class weights. Rows add the backbone and its head.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/camvid.py',
    '../_base_/schedules/sgd_poly.py'
]
crop_size = (360, 480)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='RandomCrop', crop_size=crop_size),  # whole images: there is nothing to cut
    dict(type='PackSegInputs'),
]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
max_iters = 40000
val_interval = max_iters // 10
optim_wrapper = dict(
    optimizer=dict(lr=0.001),
    # Theirs decays the scale of VGG16's batch norms and not their shift; here neither.
    paramwise_cfg=dict(bias_lr_mult=2.0, bias_decay_mult=0.0, norm_decay_mult=0.0))
param_scheduler = [
    dict(type='ConstantLR', factor=1.0, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
test_evaluator = [dict(type='SegMetric'), dict(type='BoundaryF1Metric')]
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        pad_val=0,
        seg_pad_val={{_base_.ignore_index}},
        size=crop_size),
    backbone=dict(type='SegNet'),
    decode_head=dict(
        type='ConvSegHead',
        in_channels=64,
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        loss_decode=dict(
            type='BalancedCrossEntropyLoss',
            mode='per_class',
            avg_non_ignore=True,
            # The authors' constants, in the order of the classes. They are not the median
            # frequencies of these labels, which tools/class_weights.py prints.
            class_weight=[
                0.2595, 0.1826, 4.5640, 0.1417, 0.9051, 0.3826, 9.6446, 1.8418, 0.6823, 6.2478,
                7.3614
            ])),
    test_cfg=dict(mode='whole'))
