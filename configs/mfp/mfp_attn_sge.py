# Table 2: AFFP and an attention on the baseline's decoder.
_base_ = './_base_bmseg_deeplabv3plus.py'
model = dict(decode_head=dict(context=dict(type='AFFP', attention=dict(type='SGE'))))
