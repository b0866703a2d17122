# With the labels of an eighth of the training images: what the semi-supervised rows are to surpass.
_base_ = './deeplabv3plus_mobilenetv2_pretrained_camvid180.py'
train_images = 46
train_dataloader = dict(
    dataset=dict(ann_file='{{fileDirname}}/../_base_/splits/camvid/labelled_1_8.txt'))
