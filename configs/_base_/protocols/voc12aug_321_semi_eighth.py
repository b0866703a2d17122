# voc12aug_321_semi with the labels of an eighth of the images, ten with and ten without in a batch.
_base_ = './voc12aug_321_semi.py'
train_images = 1323
lists = 'ImageSets/UniMatch/1_8'
voc = dict(
    type={{_base_.dataset_type}}, data_root={{_base_.data_root}}, how_to_get={{_base_.how_to_get}})
train_dataloader = dict(
    batch_size=20,
    sampler=dict(labelled=10, unlabelled=10),
    dataset=dict(datasets=[
        dict(
            **voc,
            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
            ann_file=f'{lists}/labeled.txt',
            extra_seg_map_path='SegmentationClassAug',
            pipeline={{_base_.train_pipeline}}),
        dict(
            **voc,
            data_prefix=dict(img_path='JPEGImages'),
            ann_file=f'{lists}/unlabeled.txt',
            pipeline={{_base_.unlabelled_pipeline}}),
    ]))
