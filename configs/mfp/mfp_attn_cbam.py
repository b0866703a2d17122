# Table 2: AFFP and an attention on the baseline's decoder.
_base_ = './_base_bmseg.py'
model = dict(
    decode_head=dict(
        type='DeepLabV3PlusHead', context=dict(type='AFFP', attention=dict(type='CBAM'))))
