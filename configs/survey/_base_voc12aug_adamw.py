# The protocol of the comparison with the optimiser of the zoo's ADE20K recipes for transformers
# instead of SGD. Rows add the model and which of its parameters differ.
_base_ = '../_base_/protocols/voc12aug_40k.py'
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, begin=0, end=1500, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=1.0, begin=1500, end={{_base_.max_iters}}, by_epoch=False)
]
