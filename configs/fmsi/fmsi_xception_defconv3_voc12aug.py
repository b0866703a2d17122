_base_ = './_base_voc12aug_xception.py'
model = dict(
    decode_head=dict(type='FMSIHead', context=dict(type='DeformASPP', rates=(6, 12, 18))))
