# camvid180_400 with the labels of 46 images and 321 without, as many in a batch as labelled ones,
# for models that learn from both. Two strong views are drawn; rows that need fewer take the first.
# Masks of the others are in reserve, for the precision of pseudo labels: no loss reads them.
_base_ = ['../default_runtime.py', '../datasets/camvid180.py', '../schedules/cpu_mobilenetv2.py']
train_images = 46
max_iters = 400
val_interval = max_iters
param_scheduler = [
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
optim_wrapper = dict(constructor='SemiOptimWrapperConstructor')
split_root = '{{fileDirname}}/../splits/camvid'
unlabelled_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadUnlabelled', with_masks=True),
    dict(type='RandomResize', scale={{_base_.scale}}, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size={{_base_.crop_size}}),
    dict(type='RandomFlip', prob=0.5),
    dict(type='StrongView', num_views=2),
    dict(type='PackUnlabelledInputs'),
]
camvid = dict(
    type={{_base_.dataset_type}},
    data_root={{_base_.data_root}},
    data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'))
train_dataloader = dict(
    batch_size=16,
    sampler=dict(_delete_=True, type='LabelledUnlabelledSampler', labelled=8, unlabelled=8),
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(
                **camvid,
                ann_file=f'{split_root}/labelled_1_8.txt',
                pipeline={{_base_.train_pipeline}}),
            dict(
                **camvid,
                ann_file=f'{split_root}/unlabelled_1_8.txt',
                pipeline=unlabelled_pipeline),
        ]))
