# Table 3, nearest neighbour; the row DySample is mfp_mobilenetv2_bmseg.
_base_ = './mfp_mobilenetv2_bmseg.py'
model = dict(decode_head=dict(upsample_cfg=dict(type='nearest')))
