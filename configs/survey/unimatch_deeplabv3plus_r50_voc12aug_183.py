# UniMatch with the labels of 183 images.
_base_ = './_base_semi_voc12aug.py'
model = dict(strong_weights=(0.25, 0.25), feature_weight=0.5)
