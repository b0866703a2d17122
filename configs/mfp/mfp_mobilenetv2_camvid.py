# The budget of the DeepLabv3+ baseline on CamVid (2000 iterations at full size), for two CPU cores.
_base_ = ['../_base_/protocols/camvid_2k.py', './_base_mfp.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        align_corners=False,
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
