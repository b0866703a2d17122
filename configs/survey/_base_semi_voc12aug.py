# UniMatch's first version on VOC 2012: no teacher, the student labels in training mode. Its 80 epochs of
# 10,399 unlabelled images on four GPUs are 80 x 1300 iterations. It halves the sum of both losses: here
# the rate is half as large, and the weight decay twice, which gives the same steps.
_base_ = [
    '../_base_/protocols/voc12aug_321_semi.py', '../_base_/schedules/sgd_poly_head10.py',
    '../_base_/models/semi_deeplabv3plus_r50_os16.py']
val_evaluator = [
    dict(type='SegMetric'), dict(type='CalibrationMetric'), dict(type='PseudoLabelMetric')]
max_iters = 104000
val_interval = max_iters // 10
optim_wrapper = dict(
    constructor='SemiOptimWrapperConstructor', optimizer=dict(lr=5e-4, weight_decay=2e-4))
param_scheduler = [
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
model = dict(
    momentum=None,
    label_mode='train',
    segmentor=dict(
        data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
        decode_head=dict(
            num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}})))
