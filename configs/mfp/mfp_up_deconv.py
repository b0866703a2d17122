# Table 3, transposed convolution; the printed count needs a kernel of 2 where 64 channels grow
# fourfold, which leaves three quarters of the pixels without input.
_base_ = './mfp_mobilenetv2_bmseg.py'
model = dict(
    decode_head=dict(
        upsample_cfg=[
            dict(type='deconv_bn'),
            dict(type='deconv_bn', kernel_size=2),
            dict(type='deconv_bn')
        ]))
