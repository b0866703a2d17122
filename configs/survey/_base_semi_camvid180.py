# DeepLabv3+ on MobileNetV2 from ImageNet, as in deeplabv3plus_mobilenetv2_pretrained_camvid180_eighth.
_base_ = [
    '../_base_/protocols/camvid180_400_eighth.py', '../_base_/models/semi_mobilenetv2_os16.py']
val_evaluator = [
    dict(type='SegMetric'), dict(type='CalibrationMetric'), dict(type='PseudoLabelMetric')]
test_evaluator = [dict(type='SegMetric'), dict(type='BoundaryF1Metric')]
model = dict(
    segmentor=dict(
        data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
        decode_head=dict(
            type='DeepLabV3PlusHead', context=dict(type='ASPP'),
            num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}})))
