# The paper's protocol on BM-Seg, as far as it is stated: 512x512, SGD 0.01, momentum 0.937, weight
# decay 5e-4, batch 8, 200 epochs; 5 folds of all images: `tools/kfold.py`. Rows add a head.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/bmseg.py',
    '../_base_/schedules/sgd_warmup_cosine_200e.py', '../_base_/models/mobilenetv2_os16.py'
]
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
