# deeplabv2_r101 against a discriminator, whose settings are AdversarialSegmentor's own.
_base_ = './deeplabv2_r101.py'
model = dict(_delete_=True, type='AdversarialSegmentor', segmentor={{_base_.model}})
