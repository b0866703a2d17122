_base_ = './_base_voc12_subset_mobilenetv2.py'
model = dict(decode_head=dict(type='FMSIHead', context=dict(type='DeformASPP')))
