_base_ = './_base_camvid180_mobilenetv2.py'
# plain atrous convolution at the five rates: what deformation itself is worth
model = dict(
    decode_head=dict(
        type='FMSIHead',
        context=dict(type='ASPP', rates=(6, 8, 12, 18, 24), with_1x1=False)))
