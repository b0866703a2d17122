# Tables 1 and 5, AFFP on the baseline's decoder.
_base_ = './_base_bmseg.py'
model = dict(decode_head=dict(type='DeepLabV3PlusHead', context=dict(type='AFFP')))
