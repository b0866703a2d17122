# Membranes in electron microscopy (ISBI 2012): 30 slices of 512x512 with masks, 0 membrane and 255
# cell. The volumes are to be had from the challenge; save their slices as images/NN.png and
# masks/NN.png, and name the stems of your split in train.txt and val.txt (the test labels are not
# public).
dataset_type = 'FolderDataset'
data_root = '{{$MMSEG_EXT_DATA:data}}/isbi2012'
num_classes = 2
ignore_index = 255
crop_size = (512, 512)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='ElasticDeform', sigma=10.0, grid=3),
    dict(type='BorderWeight', w0=10.0, sigma=5.0),
    dict(type='PackWeightedSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='PackSegInputs'),
]
dataset = dict(
    type=dataset_type,
    data_root=data_root,
    data_prefix=dict(img_path='images', seg_map_path='masks'),
    metainfo=dict(classes=('membrane', 'cell'), palette=[[0, 0, 0], [255, 255, 255]]),
    label_map={255: 1})
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(ann_file='train.txt', pipeline=train_pipeline, **dataset))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(ann_file='val.txt', pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(type='SegMetric')
test_evaluator = dict(type='SegMetric')
