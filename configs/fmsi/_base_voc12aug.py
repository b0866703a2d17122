# Data, schedule and preprocessing of FMSI-DeepLab's Tables 1-3, as far as they are stated; the rest
# is the reference repository's. Trained on train_aug (10,582), scored on val (1,449) at full size.
# Rows add the model: a LetterboxEncoderDecoder.
_base_ = ['../_base_/default_runtime.py', '../_base_/datasets/voc12aug.py']
crop_size = {{_base_.crop_size}}
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='LetterboxAugment', size=crop_size),  # fills labels with background, not 255
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Letterbox', size=crop_size),
    dict(type='LoadLabels'),
    dict(
        type='PackSegInputs',
        meta_keys=('img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape',
                   'scale_factor', 'flip', 'flip_direction', 'reduce_zero_label',
                   'padding_size')),
]
train_dataloader = dict(
    batch_size=4,
    drop_last=True,
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
randomness = dict(seed=11)
letterbox_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[0.0, 0.0, 0.0],
    std=[255.0, 255.0, 255.0],
    bgr_to_rgb=True,
    pad_val=128,
    seg_pad_val=0,  # never used: samples are already square
    size=crop_size)

# The repository's schedule: 3 epochs of quadratic warm-up (0.1, 0.2, 0.5 of the largest rate),
# cosine to a hundredth of it, 15 flat epochs. Nominal rate 7e-3 at batch 16, scaled to batch 4.
# Reproduces the repository's curve to 4e-16.
max_epochs = 100
flat_epochs = 15
lr = 0.00175
optimizer = dict(type='SGD', lr=lr, momentum=0.9, nesterov=True, weight_decay=1e-4)
optim_wrapper = dict(type='OptimWrapper', optimizer=optimizer, clip_grad=None)
param_scheduler = [
    dict(type='ConstantLR', factor=0.1, begin=0, end=2, by_epoch=True),
    dict(type='ConstantLR', factor=0.2, begin=1, end=3, by_epoch=True),
    dict(type='ConstantLR', factor=0.5, begin=2, end=4, by_epoch=True),
    # end is T_max + 4: one epoch less would stop a step short of eta_min
    dict(type='CosineAnnealingLR', begin=3, T_max=max_epochs - 3 - flat_epochs,
         end=max_epochs + 1 - flat_epochs, eta_min=lr / 100, by_epoch=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # the repository keeps the lowest validation loss; we keep the highest mIoU
    checkpoint=dict(
        type='CheckpointHook', by_epoch=True, interval=5, max_keep_ckpts=1, save_best='mIoU'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    iter_seed=dict(type='IterSeedHook'),
    progress=dict(type='ProgressHook'),
    visualization=dict(type='SegVisualizationHook'))
