# MFP-DeepLabv3+: 200 epochs of SGD at 0.01. The paper names no schedule; this is that of the
# repository whose network it builds on (see fmsi/_base_voc12aug.py), with its 15 flat epochs and
# its Nesterov momentum, which the paper does not state. The paper's rate stands as printed: it is
# not scaled by batch / 16, by which the repository would come to 0.005 to 5e-5 at batch 8.
max_epochs = 200
flat_epochs = 15
lr = 0.01
optimizer = dict(type='SGD', lr=lr, momentum=0.937, nesterov=True, weight_decay=5e-4)
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
