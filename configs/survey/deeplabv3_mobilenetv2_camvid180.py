# The same with a backbone from ImageNet, which learns five times slower than the head: what a start is
# worth.
_base_ = './deeplabv3_mobilenetv2_scratch_camvid180.py'
init_note = 'backbone ImageNet-1k (dequantised int8 export), head random'
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.2)}))
model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$MMSEG_EXT_WEIGHTS:weights}}/mobilenet_v2_imagenet.pth',
            prefix='backbone.')))
