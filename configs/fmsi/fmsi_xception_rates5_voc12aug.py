_base_ = './_base_voc12aug_xception.py'
# the control that the paper lacks: its row "Def-Conv" changes rates, deformation and branches at
# once
model = dict(
    decode_head=dict(
        type='FMSIHead',
        context=dict(type='ASPP', rates=(6, 8, 12, 18, 24), with_1x1=False)))
