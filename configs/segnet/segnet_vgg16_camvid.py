_base_ = './_base_segnet_camvid.py'
init_note = 'encoder ImageNet-1k (torchvision vgg16_bn), decoder random'
model = dict(
    data_preprocessor=dict(
        # what the weights were trained with; the authors' Caffe network takes raw BGR
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        arch='vgg16',
        init_cfg=dict(
            type='VGG16BNPretrained',
            checkpoint='{{$MMSEG_EXT_WEIGHTS:weights}}/vgg16_bn-6c64b313.pth')))
