"""Train, test and predict from Python, as the tools do.

Each name is imported at first use::

    from mmseg_ext import apis

    cfg = apis.load_config('mmseg_ext::fmsi/fmsi_xception_voc.py', options=dict(max_iters=1000))
    apis.train(cfg)
    scores = apis.test(cfg)
    print(apis.RunFolder(cfg.work_dir).results().metrics['mIoU'].value)
    label = apis.Predictor(cfg.work_dir)('photo.jpg').label

The rooms below ``apis`` and who may import whom: ``docs/architecture.md``.
"""

from ..core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    **{
        'folds.fold': 'use_fold',
        'pages.report': 'write_report',
        'predict.output': 'predict_to_folder',
        'run.config': 'load_config',
        'run.folder': 'RunFolder',
        'run.network.fast': 'fast_form',
        'run.load': 'load_model load_tested',
        'run.outcome.results': 'RunResults',
        'run.testing': 'test',
        'run.training': 'train',
        'use.predictor': 'Predictor',
        'userdata.checks.check': 'check_data',
        'userdata.init': 'init_data_file',
    },
)
