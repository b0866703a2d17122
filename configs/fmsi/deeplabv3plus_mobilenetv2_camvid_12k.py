_base_ = './_base_camvid_12k_mobilenetv2.py'
model = dict(decode_head=dict(type='DeepLabV3PlusHead', context=dict(type='ASPP')))
