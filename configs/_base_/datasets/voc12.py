# PASCAL VOC 2012: 1464 train and 1449 val images. `python tools/download_dataset.py voc2012` fetches
# them into this layout.
# Images smaller than the crop are padded by the preprocessor, whose `size` must be crop_size.
_base_ = './loaders.py'
dataset_type = 'VOCDataset'
data_root = '{{$MMSEG_EXT_DATA:data}}/VOCdevkit/VOC2012'
num_classes = 21
ignore_index = 255
train_images = 1464
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
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/train.txt',
        how_to_get='python tools/download_dataset.py voc2012',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
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
