# Adversarial: a discriminator judges predictions, and which of them an unlabelled image may teach.
# Hung et al.'s weights, threshold and start of the self-labels (a quarter of the run). The
# discriminator has a quarter of their rate: at 1e-4 its loss falls to 0.22 within 40 iterations, and
# few self-labels would be left when they begin, at 100.
_base_ = './_base_semi_camvid180.py'
val_evaluator = [dict(type='SegMetric'), dict(type='CalibrationMetric')]
custom_hooks = [dict(type='ChannelsLastHook')]
model = dict(
    _delete_=True, type='AdversarialSegmentor', segmentor={{_base_.model.segmentor}})
optim_wrapper = dict(
    _delete_=True,
    constructor='PartsOptimWrapperConstructor',
    segmentor=dict(
        type={{_base_.optim_wrapper.type}},
        optimizer={{_base_.optim_wrapper.optimizer}},
        paramwise_cfg={{_base_.optim_wrapper.paramwise_cfg}}),
    discriminator=dict(
        type='Bf16OptimWrapper', optimizer=dict(type='Adam', lr=2.5e-5, betas=(0.9, 0.99))))
