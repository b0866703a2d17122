# The survey's example (Fig. 2): convolutions and poolings, a bottleneck, unpoolings and
# deconvolutions that mirror them, on brain MRI. It gives no numbers: widths are ResSegNet's,
# without its skips. Tumour covers few pixels, hence the Dice term.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/brainmri.py',
    '../_base_/schedules/sgd_poly.py', '../_base_/models/resegnet.py'
]
test_evaluator = [dict(type='SegMetric'), dict(type='BoundaryF1Metric')]
losses = [dict(type='CrossEntropyLoss', avg_non_ignore=True), dict(type='SoftDiceLoss')]
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    backbone=dict(
        fuse_mode='none', last_concat=False, bottleneck_convs=1, deconvs_per_stage=(3, 2)),
    decode_head=dict(
        in_channels=64, loss_decode=losses,
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
