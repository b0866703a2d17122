# Transfer learning, with: the backbone starts from ImageNet.
_base_ = '../fmsi/deeplabv3plus_mobilenetv2_camvid180.py'
test_evaluator = [dict(type='SegMetric'), dict(type='BoundaryF1Metric')]
