# Transfer learning, without: random weights, everything else equal.
_base_ = './deeplabv3plus_mobilenetv2_pretrained_camvid180.py'
init_note = 'random'
model = dict(backbone=dict(init_cfg=None))
