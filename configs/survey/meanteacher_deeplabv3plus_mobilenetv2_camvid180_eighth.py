# Mean Teacher: soft targets of all pixels, without CutMix.
_base_ = './_base_semi_camvid180.py'
model = dict(momentum=0.99, targets='soft', threshold=0.0, cutmix=None, strong_weights=(100.0,))
