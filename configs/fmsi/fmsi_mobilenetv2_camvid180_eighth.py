# With the labels of an eighth of the training images.
_base_ = './_base_camvid180_mobilenetv2.py'
train_images = 46
train_dataloader = dict(
    dataset=dict(ann_file='{{fileDirname}}/../_base_/splits/camvid/labelled_1_8.txt'))
test_evaluator = [dict(type='SegMetric'), dict(type='BoundaryF1Metric')]
model = dict(
    decode_head=dict(
        type='FMSIHead',
        context=dict(type='DeformASPP', attention=dict(type='GGCA')),
        flow=dict(channels=48, entry_lateral=True),
        attention=dict(type='MSEA')))
