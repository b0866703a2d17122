# FMSI-DeepLab with a teacher, by FixMatch. The survey's table few-labels-fmsi-camvid180 has the settings of
# the other methods as options of its rows.
_base_ = [
    '../_base_/protocols/camvid180_400_eighth.py', '../_base_/models/semi_mobilenetv2_os16.py']
val_evaluator = [
    dict(type='SegMetric'), dict(type='CalibrationMetric'), dict(type='PseudoLabelMetric')]
test_evaluator = [dict(type='SegMetric'), dict(type='BoundaryF1Metric')]
model = dict(
    segmentor=dict(
        data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
        decode_head=dict(
            type='FMSIHead',
            context=dict(type='DeformASPP', attention=dict(type='GGCA')),
            flow=dict(channels=48, entry_lateral=True),
            attention=dict(type='MSEA'),
            num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}})))
