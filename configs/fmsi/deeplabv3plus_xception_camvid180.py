_base_ = './_base_camvid180_xception.py'
model = dict(decode_head=dict(type='DeepLabV3PlusHead', context=dict(type='ASPP')))
