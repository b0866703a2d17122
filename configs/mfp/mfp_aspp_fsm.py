# Table 1, FSM taken literally: alone, without the FRM that the printed count includes.
_base_ = './_base_bmseg_deeplabv3plus.py'
model = dict(decode_head=dict(context=dict(type='AFFP', with_frm=False, with_sppm=False)))
