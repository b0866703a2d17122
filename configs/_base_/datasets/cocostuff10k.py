# COCO-Stuff 10k: 9000 train and 1000 test images of COCO 2014, 171 classes. The layout is what
# mmseg's tools/dataset_converters/coco_stuff10k.py leaves; its masks have 0 for unlabelled.
_base_ = './cocostuff164k.py'
train_images = 9000
data_root = '{{$MMSEG_EXT_DATA:data}}/coco_stuff10k'
how_to_get = "make it with mmsegmentation's tools/dataset_converters/coco_stuff10k.py"

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path='images/train2014', seg_map_path='annotations/train2014'),
        reduce_zero_label=True,
        how_to_get=how_to_get))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path='images/test2014', seg_map_path='annotations/test2014'),
        reduce_zero_label=True,
        how_to_get=how_to_get))
test_dataloader = val_dataloader
