# BM-Seg under the paper's protocol for networks of mmsegmentation's zoo; rows add the model.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/bmseg.py',
    '../_base_/schedules/sgd_warmup_cosine_200e.py'
]
