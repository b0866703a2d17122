# SETR with the naive decoder of the zoo, for one GPU or a CPU. The data set's config adds the size of
# preprocessor and backbone, that of the windows of a test, num_classes and ignore_index: to the head
# and to three auxiliary ones.
_base_ = ['mmseg::_base_/models/setr_naive.py']
init_note = 'backbone ImageNet-21k, then 1k (download), heads random'
norm_cfg = dict(type='BN', requires_grad=True)  # the zoo's SyncBN needs several GPUs
model = dict(
    # the weights are of images in [-1, 1]
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    pretrained=None,
    backbone=dict(
        drop_rate=0.0,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segmenter/vit_large_p16_384_20220308-d4efb41d.pth')),
    decode_head=dict(norm_cfg=norm_cfg, loss_decode=dict(avg_non_ignore=True)))
