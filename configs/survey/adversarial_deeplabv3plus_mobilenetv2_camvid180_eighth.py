# Adversarial: a discriminator judges predictions, and which of them an unlabelled image may teach.
# Hung et al.'s weights, threshold, start of the self-labels (a quarter of the run) and optimiser of
# the discriminator, which has the schedule of the segmentor.
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
        type='Bf16OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))))
