# One branch of rate 12 on VGG16, one scale, in the authors' geometry: corners aligned, every eighth
# label. Biases learn twice as fast as weights and do not decay.
_base_ = './deeplabv2_r101_msc_voc12aug.py'
init_note = 'convolutions ImageNet-1k (Caffe), fc6, fc7 and fc8 random'
optim_wrapper = dict(
    optimizer=dict(lr=1e-3), paramwise_cfg=dict(bias_lr_mult=2.0, bias_decay_mult=0.0))
model = dict(
    scales=(1.0,),
    loss_definition='caffe',
    backbone=dict(
        _delete_=True,
        type='DeepLabVGG16',
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://vgg16_caffe')),
    decode_head=dict(in_channels=512, rates=(12,), hidden_channels=1024, align_corners=True))
