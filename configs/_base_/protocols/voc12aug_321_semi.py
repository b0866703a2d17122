# voc12aug_321 and the images of the unlabelled list, as many in a batch as labelled ones. Two strong
# views are drawn; rows that need fewer take the first.
_base_ = './voc12aug_321.py'
unlabelled_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadUnlabelled'),
    dict(type='RandomResize', scale=(500, 500), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size={{_base_.crop_size}}),
    dict(type='RandomFlip', prob=0.5),
    dict(type='StrongView', num_views=2),
    dict(type='PackUnlabelledInputs'),
]
train_dataloader = dict(
    batch_size=16,
    sampler=dict(_delete_=True, type='LabelledUnlabelledSampler', labelled=8, unlabelled=8),
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            {{_base_.train_dataloader.dataset}},
            dict(
                type={{_base_.dataset_type}},
                data_root={{_base_.data_root}},
                data_prefix=dict(img_path='JPEGImages'),
                ann_file='ImageSets/UniMatch/183/unlabeled.txt',
                how_to_get={{_base_.how_to_get}},
                pipeline=unlabelled_pipeline),
        ]))
