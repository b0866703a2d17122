"""Semi-supervised configs: the plain one within, and how one is made of any other."""

from typing import Any, Optional

from mmengine.config import Config

from ...datasets.unlabelled import unlabelled_pipeline
from .metrics import metrics_of
from .pipelines import pipeline_of, reads_labels

_WRAPPER, _HOOK, _CONSTRUCTOR = 'SemiSegmentor', 'EMATeacherHook', 'SemiOptimWrapperConstructor'
_QUALITY = ('CalibrationMetric', 'PseudoLabelMetric')  # in each validation
_OF_MODEL = ('type', 'segmentor', 'data_preprocessor')


def is_semi(model: Any) -> bool:
    """Whether the config of a model is a semi-supervised one."""
    kind = model.get('type') if isinstance(model, dict) else None
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    return name.rpartition('.')[2] == _WRAPPER


def plain_model(model: Any) -> Any:
    """The segmentor's own config, also within test-time augmentation; others stay as they are."""
    if is_semi(model):
        inner = type(model)(model['segmentor'])
        if model.get('data_preprocessor') is not None:
            inner['data_preprocessor'] = model['data_preprocessor']
        return inner
    if isinstance(model, dict) and is_semi(model.get('module')):
        return type(model)({**model, 'module': plain_model(model['module'])})
    return model


def use_plain(cfg: Config) -> None:
    """Let a config's model be the plain segmentor, for all but the training."""
    if 'model' in cfg:
        cfg.model = plain_model(cfg.model)


def take_apart(cfg: Config) -> Optional[dict]:
    """Make a semi-supervised config a plain one, that of its labelled images.

    Returns:
        Arguments of ``SemiSegmentor`` with which :func:`join_unlabelled` makes it one again;
        ``None`` for a plain config, which stays as it is.
    """
    if not is_semi(cfg.model):
        return None
    settings = {key: value for key, value in cfg.model.items() if key not in _OF_MODEL}
    use_plain(cfg)
    loader = cfg.train_dataloader
    sampler = loader.sampler
    loader.dataset = loader.dataset.datasets[0]
    loader.batch_size = sampler.labelled
    endless = sampler.get('endless', True)
    loader.sampler = dict(type='InfiniteSampler' if endless else 'DefaultSampler', shuffle=True)
    cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook.type != _HOOK]
    cfg.optim_wrapper.pop('constructor', None)
    if cfg.get('val_evaluator'):
        cfg.val_evaluator = [one for one in metrics_of(cfg, 'val') if one['type'] not in _QUALITY]
    cfg.pop('unlabelled_pipeline', None)  # a variable of the file
    return settings


def join_unlabelled(
    cfg: Config, unlabelled: dict, settings: dict, *, with_masks: bool = False
) -> None:
    """Wrap a config's model, and join unlabelled images to its training data.

    Args:
        cfg: A plain config; changed in place.
        unlabelled: Config of the data set; its pipeline is replaced by the row's.
        settings: Arguments of ``SemiSegmentor``.
        with_masks: Read the masks that the data set names, for analysis.

    Raises:
        ValueError: If the row's pipeline loads no labels.
    """
    _join_data(cfg, unlabelled, with_masks, _num_views(settings))
    _wrap_model(cfg, settings)
    cfg.optim_wrapper.setdefault('constructor', _CONSTRUCTOR)
    hooks = [hook for old in cfg.get('custom_hooks') or [] for hook in _moved(old, settings)]
    cfg.custom_hooks = [*hooks, dict(type=_HOOK)]
    _measure_labels(cfg)


def _measure_labels(cfg: Config) -> None:
    """Let each validation measure pseudo labels and calibration, beside its scores."""
    metrics = metrics_of(cfg, 'val')
    missing = set(_QUALITY) - {one['type'] for one in metrics}
    if metrics:
        cfg.val_evaluator = [*metrics, *(dict(type=k) for k in _QUALITY if k in missing)]


def _num_views(settings: dict) -> int:
    weak = settings.get('student_view') == 'weak'
    return 0 if weak else len(settings.get('strong_weights', (1,)))


def _wrap_model(cfg: Config, settings: dict) -> None:
    segmentor = dict(cfg.model)
    if cfg.get('load_from'):
        segmentor['init_cfg'] = dict(type='Pretrained', checkpoint=cfg.load_from)
        cfg.load_from = None
    cfg.model = dict(type=_WRAPPER, segmentor=segmentor, **settings)


def _join_data(cfg: Config, unlabelled: dict, with_masks: bool, num_views: int) -> None:
    loader = cfg.train_dataloader
    steps = [dict(step) for step in pipeline_of(loader.dataset) or ()]
    kinds = tuple(step['type'] for step in steps if reads_labels(step))
    pipeline = unlabelled_pipeline(
        steps, label_loaders=kinds, with_masks=with_masks, num_views=num_views
    )
    count = loader.get('batch_size', 1)
    epochs = 'max_epochs' in (cfg.get('train_cfg') or {})
    loader.dataset = dict(
        type='ConcatDataset',
        datasets=[loader.dataset, dict(unlabelled, pipeline=pipeline)],
        ignore_keys=['group_unit'],
    )
    loader.sampler = dict(
        type='LabelledUnlabelledSampler', labelled=count, unlabelled=count, endless=not epochs
    )
    loader.batch_size = 2 * count


def _moved(hook: dict, settings: dict) -> list[dict]:
    """Hooks that name a part of the network, for the networks within."""
    if hook.get('type') != 'FreezeBackboneHook':
        return [hook]
    networks = ['student', 'peer'] if settings.get('two_students') else ['student']
    part = hook.get('module', 'backbone')
    return [dict(hook, module=f'{network}.{part}') for network in networks]
