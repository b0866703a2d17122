# BM-Seg, lesions, at 512x512, as tools/dataset_converters/bmseg.py lays it out; the two lists are
# its 9:1 split by patient. MFP-DeepLabv3+ augments by CLAHE, salt-and-pepper noise and mirroring;
# how often and how much is not stated: half of the images each, clip limit 2, 2 % of the pixels.
dataset_type = 'BMSegDataset'
data_root = '{{$MMSEG_EXT_DATA:data}}/bmseg'
num_classes = 2
ignore_index = 255
crop_size = (512, 512)
fold_pool = 'train+val'  # cross validation covers all labelled images

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='AlignedResize', scale=crop_size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomApply', transforms=[dict(type='CLAHE', clip_limit=2.0)], prob=0.5),
    dict(type='SaltPepper', prob=0.5, amount=0.02),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='LoadLabels'),  # after Resize: labels keep their size
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    batch_size=8,
    drop_last=True,  # batch norm cannot train on a last batch of one
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='train.txt',
        target='lesion',
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
        ann_file='val.txt',
        target='lesion',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='SegMetric')
test_evaluator = dict(type='SegMetric')
