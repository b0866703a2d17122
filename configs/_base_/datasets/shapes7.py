# The embedded data set with 6 classes that differ more, for the demo: 240 train and 60 val images of
# 160x160; `python tools/make_shapes.py --variant shapes7 --out data/shapes7` makes it.
_base_ = './shapes.py'
dataset_type = 'Shapes7Dataset'
data_root = 'data/shapes7'
num_classes = 7
crop_size = (96, 96)  # half the time of 128x128

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='RandomResize', scale=(160, 160), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    dataset=dict(type=dataset_type, data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
test_dataloader = val_dataloader
