# The control: pooling indices alone lead the decoder, at equal convolutions.
_base_ = './_base_resegnet_camvid.py'
model = dict(
    backbone=dict(fuse_mode='none', last_concat=False),
    decode_head=dict(
        in_channels=64,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)))
