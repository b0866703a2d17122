# U-Net on VGG16's maps before its poolings; no batch norm, so that it needs its start. The data
# set's config adds num_classes, ignore_index and the preprocessor.
init_note = 'backbone ImageNet-1k (torchvision vgg16), head random'
model = dict(
    backbone=dict(
        type='VGG16',
        out=('conv1', 'conv2', 'conv3', 'conv4', 'conv5'),
        init_cfg=dict(
            type='VGG16Pretrained',
            checkpoint='{{$MMSEG_EXT_WEIGHTS:weights}}/vgg16-397923af.pth')),
    decode_head=dict(
        type='UNetVGGHead',
        in_channels=(64, 128, 256, 512, 512),
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
