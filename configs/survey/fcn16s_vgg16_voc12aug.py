_base_ = './_base_fcn.py'
# continues FCN-32s, at a hundredth of its rate
load_from = 'work_dirs/fcn32s_vgg16_voc12aug/iter_100000.pth'
init_note = 'fcn32s_vgg16_voc12aug after 100,000 iterations'
optim_wrapper = dict(optimizer=dict(lr=1e-12))
model = dict(
    backbone=dict(init_cfg=None, out=('image', 'pool4', 'fc7')),
    decode_head=dict(in_channels=(3, 512, 4096)))
