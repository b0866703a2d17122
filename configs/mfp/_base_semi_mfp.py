# MFP-DeepLabv3+ within FixMatch with a teacher, whose settings are SemiSegmentor's own.
_base_ = './_base_mfp.py'
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='EMATeacherHook')]
model = dict(_delete_=True, type='SemiSegmentor', segmentor={{_base_.model}})
