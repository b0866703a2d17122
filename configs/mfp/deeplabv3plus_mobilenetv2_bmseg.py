# First row of Tables 1 and 5.
_base_ = './_base_bmseg_deeplabv3plus.py'
model = dict(decode_head=dict(context=dict(type='ASPP')))
