# DeepLab-v2 on ResNet-101, in the PyTorch port's form. The data set's config adds num_classes,
# ignore_index and the preprocessor's size.
init_note = 'backbone ImageNet-1k (Caffe, by detectron2), head random'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[104.008, 116.669, 122.675],  # BGR
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
        pad_val=0),  # after the mean is subtracted
    backbone=dict(
        type='DeepLabResNet',
        depth=101,
        # The authors start from weights trained on COCO: see deeplabv2/README.md for load_from.
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://detectron2/resnet101_caffe')),
    decode_head=dict(
        type='DeepLabV2Head',
        in_channels=2048,
        rates=(6, 12, 18, 24),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
