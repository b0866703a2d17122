# The other target of BM-Seg.
_base_ = './mfp_mobilenetv2_bmseg.py'
train_dataloader = dict(dataset=dict(target='bone'))
val_dataloader = dict(dataset=dict(target='bone'))
test_dataloader = dict(dataset=dict(target='bone'))
