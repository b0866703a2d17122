# Table I of the paper to the letter: 210 epochs, rate 0.1, momentum 0.9. What it leaves unsaid is
# marked; its 5718 training images are those of VOC's detection task, of which few have masks.
_base_ = './_base_resegnet_voc12aug.py'
max_epochs = 210
val_interval = 10
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.0),  # decay: not stated
    clip_grad=dict(max_norm=10.0))  # not stated; 0.1 may diverge without
param_scheduler = [  # not stated: a fixed rate
    dict(type='ConstantLR', factor=1.0, begin=0, end=max_epochs, by_epoch=True)
]
train_dataloader = dict(
    batch_size=8,  # not stated
    drop_last=True,
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True))
train_cfg = dict(
    _delete_=True, type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=val_interval)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=True),
    checkpoint=dict(by_epoch=True, interval=val_interval))
