# TransUNet with the losses of its paper. The data set's config adds num_classes, ignore_index and the
# sizes of the preprocessor and of the position embedding.
# The public code starts from R50+ViT-B_16 of ImageNet-21k: tools/model_converters/convert.py makes a
# file for the backbone's init_cfg of it.
init_note = 'random unless init_cfg or load_from is given'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        pad_val=0),
    backbone=dict(type='TransUNet'),
    decode_head=dict(
        type='ConvSegHead',
        in_channels=16,
        loss_decode=[
            dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=0.5),
            dict(type='SoftDiceLoss', squared=True, loss_weight=0.5)
        ]),
    test_cfg=dict(mode='whole'))
