_base_ = ['./_base_bmseg24.py', './_base_mfp.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}},
        loss_decode={{_base_.losses}}))
