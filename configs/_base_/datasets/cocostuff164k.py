# COCO-Stuff on all of COCO 2017: 118287 train and 5000 val images, 171 classes. The layout is what
# mmseg's tools/dataset_converters/coco_stuff164k.py leaves.
# Images smaller than the crop are padded by the preprocessor, whose `size` must be crop_size.
dataset_type = 'CheckedCOCOStuffDataset'
data_root = '{{$MMSEG_EXT_DATA:data}}/coco_stuff164k'
num_classes = 171
ignore_index = 255
train_images = 118287
crop_size = (512, 512)
how_to_get = "make it with mmsegmentation's tools/dataset_converters/coco_stuff164k.py"

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='RandomResize', scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='images/train2017', seg_map_path='annotations/train2017'),
        how_to_get=how_to_get,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='images/val2017', seg_map_path='annotations/val2017'),
        how_to_get=how_to_get,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='SegMetric')
test_evaluator = dict(type='SegMetric')
