# Table 5's row on vertebra CT.
_base_ = './_base_vertebra_deeplabv3plus.py'
model = dict(decode_head=dict(context=dict(type='AFFP')))
