# Table 1, "FSC+FSM"; its count is the one that the row FSM prints as well.
_base_ = './_base_bmseg.py'
model = dict(
    decode_head=dict(type='DeepLabV3PlusHead', context=dict(type='AFFP', with_sppm=False)))
