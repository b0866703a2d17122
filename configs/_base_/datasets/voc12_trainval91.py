# The 2913 images of PASCAL VOC 2012 with masks, sorted and split 9:1 with seed 0: 2621 and 292. The
# lists come from `python tools/make_split.py DATA_ROOT/ImageSets/Segmentation/trainval.txt`.
# Images smaller than the crop are padded by the preprocessor, whose `size` must be crop_size.
dataset_type = 'VOCDataset'
data_root = '{{$MMSEG_EXT_DATA:data}}/VOCdevkit/VOC2012'
num_classes = 21
ignore_index = 255
crop_size = (512, 512)

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
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/trainval91_train.txt',
        how_to_get='python tools/make_split.py DATA_ROOT/ImageSets/Segmentation/trainval.txt --expect 2913',
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
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/trainval91_val.txt',
        how_to_get='python tools/make_split.py DATA_ROOT/ImageSets/Segmentation/trainval.txt --expect 2913',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='SegMetric')
test_evaluator = dict(type='SegMetric')
