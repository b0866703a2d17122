# The published U-Net on its own task: one slice a step, mirrored at its border, momentum 0.99,
# borders between cells weighted. The rate is not stated.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/isbi2012.py',
    '../_base_/schedules/sgd_poly.py', './_base_unet_unpadded.py'
]
train_dataloader = dict(batch_size=1)
optim_wrapper = dict(optimizer=dict(lr=1e-3, momentum=0.99, weight_decay=0.0))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
