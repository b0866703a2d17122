# What the rows with a dense CRF share; a row takes the CRF of its network by name. Settings as in
# README.md; labels below 0.001 at every pixel are left out. Scores before it stand beside the others.
crf_resnet101 = dict(
    type='DenseCRF', pos_w=3, pos_xy=1, bi_w=4, bi_xy=67, bi_rgb=3, prune=1e-3)
crf_vgg16 = dict(
    type='DenseCRF', pos_w=2, pos_xy=2, bi_w=4, bi_xy=65, bi_rgb=3, prune=1e-3)
crf_evaluator = [
    dict(type='SegMetric'),
    dict(type='SegMetric', pred_field='pred_sem_seg_nocrf', prefix='before_crf'),
]
