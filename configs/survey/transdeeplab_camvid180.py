# TransDeepLab in the CPU protocol, from random weights.
_base_ = ['../_base_/protocols/camvid180_scratch.py', '../_base_/models/transdeeplab.py']
init_note = 'random'
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
