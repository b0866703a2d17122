# Mean Teacher around DeepLab-v2 without its input scales.
_base_ = [
    '../_base_/protocols/voc12aug_321_semi_eighth.py', '../_base_/schedules/sgd_poly_deeplabv2.py',
    '../_base_/models/semi_deeplabv2_r101.py']
val_evaluator = [
    dict(type='SegMetric'), dict(type='CalibrationMetric'), dict(type='PseudoLabelMetric')]
optim_wrapper = dict(constructor='SemiOptimWrapperConstructor')
model = dict(
    momentum=0.99, targets='soft', threshold=0.0, cutmix=None, strong_weights=(100.0,),
    segmentor=dict(
        data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
        decode_head=dict(
            num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}})))
