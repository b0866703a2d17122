# CamVid at half resolution (240x180) from random weights: 400 iterations of batch 4 at 128x128, a
# budget for two CPU cores, not a paper's protocol. Scored on the full-size labels.
_base_ = ['./_base_camvid180.py', './_base_resegnet.py']
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
