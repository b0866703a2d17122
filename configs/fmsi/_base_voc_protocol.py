# Data, schedule and preprocessing of FMSI-DeepLab's Tables 1-3, as far as they are stated; the rest is
# the reference repository's. Trained on train_aug (10,582), scored on val (1,449) at full size. Rows
# add the model: a LetterboxEncoderDecoder.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/voc12aug.py',
    '../_base_/schedules/sgd_warmup_cosine_100e.py'
]
crop_size = {{_base_.crop_size}}
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(type='RepoAugment', size=crop_size),  # fills labels with background, not 255
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Letterbox', size=crop_size),
    dict(type='LoadLabels'),
    dict(
        type='PackSegInputs',
        meta_keys=('img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape',
                   'scale_factor', 'flip', 'flip_direction', 'reduce_zero_label',
                   'padding_size')),
]
train_dataloader = dict(
    batch_size=4,
    drop_last=True,
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
randomness = dict(seed=11)
letterbox_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[0.0, 0.0, 0.0],
    std=[255.0, 255.0, 255.0],
    bgr_to_rgb=True,
    pad_val=128,
    seg_pad_val=0,  # never used: samples are already square
    size=crop_size)
