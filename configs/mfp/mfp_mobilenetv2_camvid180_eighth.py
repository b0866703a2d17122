# With the labels of an eighth of the training images.
_base_ = './mfp_mobilenetv2_camvid180.py'
train_images = 46
train_dataloader = dict(
    dataset=dict(ann_file='{{fileDirname}}/../_base_/splits/camvid/labelled_1_8.txt'))
test_evaluator = [dict(type='SegMetric'), dict(type='BoundaryF1Metric')]
