# The paper's VGG16 row with four branches (ASPP-L), each with its own fc6 and fc7.
_base_ = './deeplabv2_vgg16_largefov_voc12aug.py'
model = dict(decode_head=dict(rates=(6, 12, 18, 24)))
