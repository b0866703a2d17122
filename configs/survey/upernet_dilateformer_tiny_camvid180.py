# DilateFormer with UPerNet in the CPU protocol.
_base_ = [
    '../_base_/protocols/camvid180_scratch.py', '../_base_/models/upernet_dilateformer_tiny.py']
init_note = 'random'
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}),
    auxiliary_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
