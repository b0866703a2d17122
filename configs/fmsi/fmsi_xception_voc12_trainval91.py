_base_ = './fmsi_xception_voc.py'
# The paper's 9:1 of the 2,913 images that have masks (2,621 / 292), sorted and seeded; the lists
# come from tools/make_split.py. Start from ImageNet only: a VOC checkpoint has seen the test images.
train_images = 2621
train_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/Segmentation/trainval91_train.txt',
        extra_ann_file=None,
        how_to_get='python tools/make_split.py'))
val_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/Segmentation/trainval91_val.txt',
        how_to_get='python tools/make_split.py'))
test_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/Segmentation/trainval91_val.txt',
        how_to_get='python tools/make_split.py'))
