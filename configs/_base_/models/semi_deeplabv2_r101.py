# deeplabv2_r101 within FixMatch with a teacher, whose settings are SemiSegmentor's own.
_base_ = './deeplabv2_r101.py'
custom_hooks = [dict(type='EMATeacherHook')]
model = dict(_delete_=True, type='SemiSegmentor', segmentor={{_base_.model}})
