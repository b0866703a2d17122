# LargeFOV refined when tested, at the setting of VGG16 models.
_base_ = './deeplabv2_vgg16_largefov_voc12.py'
model = dict(
    type='CRFEncoderDecoder',
    segmentor='MultiScaleEncoderDecoder',
    crf=dict(type='DenseCRF', pos_w=2, pos_xy=2, bi_w=4, bi_xy=65, bi_rgb=3, prune=1e-3))
test_evaluator = [
    dict(type='SegMetric'),
    dict(type='SegMetric', pred_field='pred_sem_seg_nocrf', prefix='before_crf'),
]
