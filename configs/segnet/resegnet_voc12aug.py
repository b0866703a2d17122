_base_ = './_base_resegnet_voc12aug.py'
model = dict(
    decode_head=dict(
        in_channels=128,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)))
