# The same network and weights, refined when tested.
_base_ = ['./deeplabv2_r101_msc_cocostuff164k.py', './_base_crf.py']
model = dict(
    type='CRFEncoderDecoder',
    segmentor='MultiScaleEncoderDecoder',
    crf={{_base_.crf_resnet101}})
test_evaluator = {{_base_.crf_evaluator}}
