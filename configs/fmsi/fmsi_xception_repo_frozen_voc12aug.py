_base_ = './fmsi_xception_voc.py'
# Preset "repo", first run: epochs 0-49 at batch 8 with the backbone's weights frozen (its BN
# statistics move). fmsi_xception_repo_voc12aug.py is the second run.
max_epochs = 50
train_dataloader = dict(batch_size=8)
optim_wrapper = dict(optimizer=dict(lr=0.0035))
param_scheduler = []
train_cfg = dict(max_epochs=max_epochs)
custom_hooks = [
    dict(type='FlatCosineLrHook', lr_max=0.0035, lr_min=0.000035),
    dict(type='FreezeBackboneHook', until_epoch=max_epochs),
]
