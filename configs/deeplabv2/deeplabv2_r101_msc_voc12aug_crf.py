# The same network and weights, refined when tested; scores before the CRF stand beside those after.
_base_ = './deeplabv2_r101_msc_voc12aug.py'
model = dict(
    type='CRFEncoderDecoder',
    segmentor='MultiScaleEncoderDecoder',
    # the port's setting, see README.md; labels below 0.001 at every pixel are left out
    crf=dict(type='DenseCRF', pos_w=3, pos_xy=1, bi_w=4, bi_xy=67, bi_rgb=3, prune=1e-3))
test_evaluator = [
    dict(type='SegMetric'),
    dict(type='SegMetric', pred_field='pred_sem_seg_nocrf', prefix='before_crf'),
]
