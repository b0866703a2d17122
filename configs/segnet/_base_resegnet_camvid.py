# ResSegNet on CamVid: whole images at 480x360, mirrored at random, batch 8, 40k iterations of SGD
# at 0.01 with the poly policy. The paper has no CamVid; this protocol is ours. Rows add the loss
# and what differs in the backbone.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/camvid.py',
    '../_base_/schedules/sgd_poly.py', '../_base_/models/resegnet.py'
]
crop_size = (360, 480)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='RandomCrop', crop_size=crop_size),  # whole images: there is nothing to cut
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
max_iters = 40000
val_interval = max_iters // 10
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
test_evaluator = [dict(type='SegMetric'), dict(type='BoundaryF1Metric')]
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size=crop_size),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
