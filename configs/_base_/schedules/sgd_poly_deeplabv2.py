# DeepLab-v2's optimiser: poly to zero by iteration; the classifiers' weights learn ten times as fast
# as the backbone, their biases twenty times and without decay. mmengine takes the longest key that
# fits. Ten images a step: where they do not fit into memory, optim_wrapper.accumulative_counts=2
# with train_dataloader.batch_size=5 and max_iters=40000 is as good (batch norm is frozen).
_base_ = './sgd_poly.py'
max_iters = 20000
classifier_keys = {
    'decode_head.classifiers': dict(lr_mult=10.0),
    'decode_head.classifiers.0.bias': dict(lr_mult=20.0, decay_mult=0.0),
    'decode_head.classifiers.1.bias': dict(lr_mult=20.0, decay_mult=0.0),
    'decode_head.classifiers.2.bias': dict(lr_mult=20.0, decay_mult=0.0),
    'decode_head.classifiers.3.bias': dict(lr_mult=20.0, decay_mult=0.0),
}
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys=classifier_keys))
param_scheduler = [
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_iters, by_epoch=False),
]
