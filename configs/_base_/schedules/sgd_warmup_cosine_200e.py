# MFP-DeepLabv3+: 200 epochs of SGD at 0.01. The paper names no schedule; this is that of the
# repository whose network it builds on (see sgd_warmup_cosine_100e.py), with its 15 flat epochs and its
# Nesterov momentum, which the paper does not state. The paper's rate stands as printed: it is not scaled
# by batch / 16, by which the repository would come to 0.005 to 5e-5 at batch 8.
_base_ = './sgd_warmup_cosine_100e.py'
max_epochs = 200
flat_epochs = 15
lr = 0.01
optim_wrapper = dict(optimizer=dict(lr=lr, momentum=0.937, weight_decay=5e-4))
param_scheduler = [
    dict(type='ConstantLR', factor=0.1, begin=0, end=2, by_epoch=True),
    dict(type='ConstantLR', factor=0.2, begin=1, end=3, by_epoch=True),
    dict(type='ConstantLR', factor=0.5, begin=2, end=4, by_epoch=True),
    dict(type='CosineAnnealingLR', begin=3, T_max=max_epochs - 3 - flat_epochs,
         end=max_epochs + 1 - flat_epochs, eta_min=lr / 100, by_epoch=True),
]
train_cfg = dict(max_epochs=max_epochs)
