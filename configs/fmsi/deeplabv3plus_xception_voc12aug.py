_base_ = './_base_voc.py'
model = dict(decode_head=dict(type='DeepLabV3PlusHead', context=dict(type='ASPP')))
