# UniMatch: two strong views, and features with half of their channels.
_base_ = './_base_semi_camvid180.py'
model = dict(strong_weights=(0.25, 0.25), feature_weight=0.5)
