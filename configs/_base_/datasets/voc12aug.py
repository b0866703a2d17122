# PASCAL VOC 2012 with SBD's masks added: 10582 train and 1449 val images. SBD's masks lie in
# SegmentationClassAug and their ids in aug.txt, as mmseg's tools/dataset_converters/voc_aug.py leaves
# them.
_base_ = './voc12.py'
train_images = 10582
train_dataloader = dict(
    dataset=dict(
        extra_ann_file='ImageSets/Segmentation/aug.txt',
        extra_seg_map_path='SegmentationClassAug'))
