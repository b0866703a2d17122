# Table 1, FSM taken literally: alone, without the FRM that the printed count includes.
_base_ = './_base_bmseg.py'
model = dict(
    decode_head=dict(
        type='DeepLabV3PlusHead', context=dict(type='AFFP', with_frm=False, with_sppm=False)))
