# CamVid has no background: its objects are the positive classes, a tenth of the labelled pixels.
_base_ = './_base_resegnet_camvid180.py'
model = dict(
    decode_head=dict(
        in_channels=128,
        loss_decode=dict(
            type='BalancedCrossEntropyLoss',
            avg_non_ignore=True,
            beta='auto',  # not stated
            # Pole, SignSymbol, Fence, Car, Pedestrian, Bicyclist
            positive=[2, 6, 7, 8, 9, 10])))
