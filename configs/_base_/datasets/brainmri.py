# Slices of brain MRI, 240x240, grey or three sequences as RGB, in any folder of images and masks.
# The masks hold BraTS's labels: 1 necrotic core, 2 oedema, 4 enhancing tumour (3 in later years).
# Split by patient: neighbouring slices look alike. `group_file` names the patients for cross
# validation.
dataset_type = 'FolderDataset'
data_root = '{{$MMSEG_EXT_DATA:data}}/brain_mri'
num_classes = 4
ignore_index = 255
crop_size = (240, 240)
metainfo = dict(
    classes=('background', 'necrotic core', 'oedema', 'enhancing tumour'),
    palette=[[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 255, 0]])

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
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
        label_map={4: 3},
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
        label_map={4: 3},
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='SegMetric')
test_evaluator = dict(type='SegMetric')
