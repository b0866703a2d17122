# The VOC 2012 subset with MobileNetV2 from ImageNet, output stride 16: 400 iterations of batch 8 at
# 256x256, tested at full size. A budget for two CPU cores, not the paper's protocol.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/voc12_subset.py',
    '../_base_/schedules/cpu_mobilenetv2.py', '../_base_/models/mobilenetv2_os16.py'
]
max_iters = 400
val_interval = max_iters
param_scheduler = [
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False)
]
# At 0.01 and 0.05 the pretrained features are lost before the head can use them: background only.
optim_wrapper = dict(optimizer=dict(lr=0.002))
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
