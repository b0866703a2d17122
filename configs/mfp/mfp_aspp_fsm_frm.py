# Table 1, "FSC+FSM"; its count is the one that the row FSM prints as well.
_base_ = './_base_bmseg_deeplabv3plus.py'
model = dict(decode_head=dict(context=dict(type='AFFP', with_sppm=False)))
