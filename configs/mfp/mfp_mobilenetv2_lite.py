# A lighter decoder than the paper's: three skips of 64 channels (5,330,344 parameters).
_base_ = './mfp_mobilenetv2_bmseg.py'
model = dict(decode_head=dict(skip_channels=(64, 64, 64)))
