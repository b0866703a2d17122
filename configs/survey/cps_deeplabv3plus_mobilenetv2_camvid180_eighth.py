# CPS with CutMix: two students label every pixel for each other, in the image's own colors.
_base_ = './_base_semi_camvid180.py'
model = dict(momentum=None, two_students=True, threshold=0.0, student_view='weak')
