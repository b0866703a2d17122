# Vertebrae in CT: 3394 train and 365 val slices, grey, 128 to 148 pixels wide and high; 77 masks
# are empty. The same augmentation as BM-Seg. No patient is named, so the two splits may share some.
dataset_type = 'FolderDataset'
data_root = '{{$MMSEG_EXT_DATA:data}}/vertebra_ct'
num_classes = 2
ignore_index = 255
train_images = 3394
crop_size = (128, 128)
metainfo = dict(classes=('background', 'vertebra'), palette=[[0, 0, 0], [0, 255, 255]])

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomApply',
        transforms=[dict(type='CLAHE', clip_limit=2.0, tile_grid_size=(4, 4))],
        prob=0.5),
    dict(type='SaltPepper', prob=0.5, amount=0.02),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='images/train', seg_map_path='masks/train'),
        metainfo=metainfo,
        label_map={255: 1},
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
        data_prefix=dict(img_path='images/val', seg_map_path='masks/val'),
        metainfo=metainfo,
        label_map={255: 1},
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='SegMetric')
test_evaluator = dict(type='SegMetric')
