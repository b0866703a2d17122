# Fine-tuning on two CPU cores: bfloat16, the head learns five times faster than the pretrained
# backbone, poly to zero. `max_iters` and what follows from it are the row's base's.
_base_ = './sgd_poly.py'
optim_wrapper = dict(
    type='Bf16OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=5.0)}))
