# The same network and weights, refined when tested.
_base_ = ['./deeplabv2_vgg16_largefov_voc12aug.py', './_base_crf.py']
model = dict(
    type='CRFEncoderDecoder',
    segmentor='MultiScaleEncoderDecoder',
    crf={{_base_.crf_vgg16}})
test_evaluator = {{_base_.crf_evaluator}}
