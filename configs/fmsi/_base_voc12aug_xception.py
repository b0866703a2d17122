# The protocol of FMSI-DeepLab's Tables 1-3 with its backbone; rows add the head.
_base_ = './_base_voc12aug.py'
# The start is not stated. The reference repository starts from a checkpoint already trained on VOC;
# give yours with --cfg-options load_from=FILE, and results.json names it.
init_note = 'random unless load_from is given'
model = dict(
    type='LetterboxEncoderDecoder',
    data_preprocessor={{_base_.letterbox_preprocessor}},
    backbone=dict(type='XceptionDeepLab', output_stride=16),
    decode_head=dict(
        in_channels=(256, 728, 2048),
        in_index=(0, 1, 2),
        num_classes={{_base_.num_classes}},
        ignore_index={{_base_.ignore_index}},
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
