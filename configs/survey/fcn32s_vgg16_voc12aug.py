_base_ = './_base_fcn.py'
model = dict(
    backbone=dict(out=('image', 'fc7')),
    decode_head=dict(in_channels=(3, 4096)))
