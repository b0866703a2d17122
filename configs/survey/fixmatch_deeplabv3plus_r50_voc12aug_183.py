# FixMatch with the labels of 183 images.
_base_ = './_base_semi_voc12aug.py'
model = dict(threshold=0.95, strong_weights=(1.0,))
