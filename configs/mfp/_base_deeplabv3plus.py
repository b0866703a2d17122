# The baseline of all tables; rows add the context: ASPP or what takes its place. The data set's
# config adds num_classes, ignore_index and the preprocessor's size.
_base_ = '../_base_/models/mobilenetv2_os16.py'
model = dict(decode_head=dict(type='DeepLabV3PlusHead'))
