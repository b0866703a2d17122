_base_ = './_base_fcn.py'
# continues FCN-16s, at a hundredth of its rate
load_from = 'work_dirs/fcn16s_vgg16_voc12aug/iter_100000.pth'
init_note = 'fcn16s_vgg16_voc12aug after 100,000 iterations'
optim_wrapper = dict(optimizer=dict(lr=1e-14))
model = dict(
    backbone=dict(init_cfg=None, out=('image', 'pool3', 'pool4', 'fc7')),
    decode_head=dict(in_channels=(3, 256, 512, 4096)))
