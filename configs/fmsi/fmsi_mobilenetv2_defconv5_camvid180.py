_base_ = './_base_camvid180_mobilenetv2.py'
model = dict(decode_head=dict(type='FMSIHead', context=dict(type='DeformASPP')))
