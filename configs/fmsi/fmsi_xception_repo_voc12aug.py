_base_ = './fmsi_xception_voc.py'
# Preset "repo", second run: epochs 50-99 at batch 4, everything trained. Both limits of the rate
# are recomputed for the batch, and the curve goes on at the absolute epoch.
max_epochs = 50
load_from = 'work_dirs/fmsi_xception_repo_frozen_voc12aug/epoch_50.pth'
init_note = 'fmsi_xception_repo_frozen_voc12aug after 50 epochs'
param_scheduler = []
train_cfg = dict(max_epochs=max_epochs)
custom_hooks = [dict(type='FlatCosineLrHook', lr_max=0.00175, lr_min=0.0000175, first_epoch=50)]
