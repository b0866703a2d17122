# Training from random weights on two CPU cores: bfloat16, warm-up, poly to zero. `max_iters` and
# what follows from it are the row's base's.
_base_ = './sgd_poly.py'
optim_wrapper = dict(
    type='Bf16OptimWrapper',
    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=1e-4))
