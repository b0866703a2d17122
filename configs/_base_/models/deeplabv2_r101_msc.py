# deeplabv2_r101 with three input scales.
_base_ = './deeplabv2_r101.py'
model = dict(type='MultiScaleEncoderDecoder', scales=(0.5, 0.75, 1.0), loss_definition='port')
