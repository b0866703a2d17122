# 24 slices of BM-Seg with lesion masks, 512x512, to try things on: no benchmark. Patients are not
# named, and neighbours in the order of the stems are often slices of one patient. So the 6 val
# images are one range of stems, 0240 to 0297, and the 18 train images (0026 to 0233, 0339 to 0389)
# the rest; at both ends of the range the body in the picture changes.
dataset_type = 'BMSegDataset'
data_root = '{{$MMSEG_EXT_DATA:data}}/bmseg24'
split_root = '{{fileDirname}}/../splits/bmseg24'
num_classes = 2
ignore_index = 255
train_images = 18
crop_size = (256, 256)
fold_pool = 'train+val'  # cross validation covers all labelled images

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    # ten tries for a crop with 66 pixels of lesion: much of a slice is air
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.999),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomApply', transforms=[dict(type='CLAHE', clip_limit=2.0)], prob=0.5),
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
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        ann_file=f'{split_root}/train.txt',
        mask_threshold=127,  # the masks are RGB with soft edges
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
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        ann_file=f'{split_root}/val.txt',
        mask_threshold=127,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='SegMetric')
test_evaluator = dict(type='SegMetric')
