# FixMatch with a teacher: hard labels where the teacher is sure, and CutMix.
_base_ = './_base_semi_camvid180.py'
model = dict(threshold=0.95, strong_weights=(1.0,))
