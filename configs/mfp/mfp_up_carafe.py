# Table 3, CARAFE in the form that the printed counts give; the row DySample is mfp_mobilenetv2_bmseg.
_base_ = './mfp_mobilenetv2_bmseg.py'
model = dict(decode_head=dict(upsample_cfg=dict(type='carafe_torch')))
