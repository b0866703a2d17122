# First row of Tables 1 and 5.
_base_ = './_base_bmseg.py'
model = dict(decode_head=dict(type='DeepLabV3PlusHead', context=dict(type='ASPP')))
