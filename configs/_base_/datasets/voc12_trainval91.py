# The 2913 images of PASCAL VOC 2012 with masks, sorted and split 9:1 with seed 0: 2621 and 292. The
# lists come from `python tools/make_split.py DATA_ROOT/ImageSets/Segmentation/trainval.txt`.
_base_ = './voc12.py'
train_images = 2621
how_to_get = 'python tools/make_split.py'
train_dataloader = dict(
    dataset=dict(ann_file='ImageSets/Segmentation/trainval91_train.txt', how_to_get=how_to_get))
val_dataloader = dict(
    dataset=dict(ann_file='ImageSets/Segmentation/trainval91_val.txt', how_to_get=how_to_get))
test_dataloader = val_dataloader
