# Table 5's row on vertebra CT.
_base_ = './_base_vertebra.py'
model = dict(decode_head=dict(type='DeepLabV3PlusHead', context=dict(type='AFFP')))
