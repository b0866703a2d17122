# Hung et al.'s optimisers: DeepLab-v2's poly to zero for both networks, the classifiers' rate ten times
# the backbone's.
_base_ = './sgd_poly_deeplabv2.py'
optim_wrapper = dict(
    _delete_=True,
    constructor='PartsOptimWrapperConstructor',
    segmentor=dict(
        type='OptimWrapper',
        optimizer={{_base_.optim_wrapper.optimizer}},
        paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)})),
    discriminator=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))))
