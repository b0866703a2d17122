# VOC 2012 as UniMatch learns it with few labels: crops of 321, eight labelled images in a batch. Its
# lists, which are not part of this package, belong below VOC's ImageSets, see docs/data.md. Masks that
# SegmentationClass lacks are SBD's. Rows add the model and the schedule.
_base_ = ['../default_runtime.py', '../datasets/voc12aug.py']
crop_size = (321, 321)
train_images = 183
how_to_get = (
    'python tools/download_dataset.py voc2012, and copy splits/pascal of github.com/LiheYoung/UniMatch '
    'to ImageSets/UniMatch there')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='RandomResize', scale=(500, 500), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        ann_file='ImageSets/UniMatch/183/labeled.txt',
        extra_ann_file='',
        how_to_get=how_to_get,
        pipeline=train_pipeline))
