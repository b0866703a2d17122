# PASCAL VOC 2012 with SBD's masks added: 10582 train and 1449 val images. `python
# tools/download_dataset.py voc2012` fetches VOC into this layout; SBD's masks lie in
# SegmentationClassAug and their ids in aug.txt, as mmseg's tools/dataset_converters/voc_aug.py
# leaves them. Images smaller than the crop are padded by the preprocessor, whose `size` must be
# crop_size.
dataset_type = 'VOCDataset'
data_root = '{{$MMSEG_EXT_DATA:data}}/VOCdevkit/VOC2012'
num_classes = 21
ignore_index = 255
train_images = 10582
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
        ann_file='ImageSets/Segmentation/train.txt',
        extra_ann_file='ImageSets/Segmentation/aug.txt',
        extra_seg_map_path='SegmentationClassAug',
        how_to_get='python tools/download_dataset.py voc2012',
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
        ann_file='ImageSets/Segmentation/val.txt',
        how_to_get='python tools/download_dataset.py voc2012',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='SegMetric')
test_evaluator = dict(type='SegMetric')
