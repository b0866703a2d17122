# MFP-DeepLabv3+ with a teacher, by FixMatch. The survey's table few-labels-mfp-camvid180 has the settings of
# the other methods as options of its rows.
_base_ = ['../_base_/protocols/camvid180_400_eighth.py', './_base_semi_mfp.py']
val_evaluator = [
    dict(type='SegMetric'), dict(type='CalibrationMetric'), dict(type='PseudoLabelMetric')]
test_evaluator = [dict(type='SegMetric'), dict(type='BoundaryF1Metric')]
model = dict(
    segmentor=dict(
        data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
        decode_head=dict(
            num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}})))
