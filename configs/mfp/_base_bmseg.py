# The paper's protocol on BM-Seg, as far as it is stated: 512x512, SGD 0.01, momentum 0.937, weight
# decay 5e-4, batch 8, 200 epochs; 5 folds of all images: `tools/kfold.py`. Rows add the model.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/bmseg.py',
    '../_base_/schedules/sgd_warmup_cosine_200e.py'
]
