_base_ = './_base_camvid_xception.py'
model = dict(decode_head=dict(type='DeepLabV3PlusHead', context=dict(type='ASPP')))
