# mmseg's runtime with our modules registered; the only place that names the package.
_base_ = ['mmseg::_base_/default_runtime.py']
custom_imports = dict(imports=['mmseg_ext'], allow_failed_imports=False)
# cudnn_benchmark costs repeatability and gains little at one crop size.
env_cfg = dict(cudnn_benchmark=False)
# No name: the Runner takes the experiment's, so that two Runners in one process do not share one.
visualizer = dict(
    _delete_=True, type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
