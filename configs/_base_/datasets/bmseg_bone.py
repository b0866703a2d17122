# The bones of BM-Seg instead of the lesions.
_base_ = './bmseg.py'
train_dataloader = dict(dataset=dict(target='bone'))
val_dataloader = dict(dataset=dict(target='bone'))
test_dataloader = val_dataloader
