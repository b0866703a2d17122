"""Semi-supervised and adversarial configs: the plain one within, and how one is made of any other.

The settings of such a config are those of its wrapper, a registered segmentor, with its ``type``.
"""

from typing import Any, Optional

from mmengine.config import Config

from ...datasets.unlabelled import unlabelled_pipeline
from .metrics import metrics_of
from .pipelines import pipeline_of, reads_labels

_SEMI, _ADVERSARIAL = 'SemiSegmentor', 'AdversarialSegmentor'
_HOOK, _CONSTRUCTOR = 'EMATeacherHook', 'SemiOptimWrapperConstructor'
_PARTS = 'PartsOptimWrapperConstructor'
_QUALITY = ('CalibrationMetric', 'PseudoLabelMetric')  # in each validation
_OF_MODEL = ('segmentor', 'data_preprocessor')
_DISCRIMINATOR = dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))  # of Hung et al.
_OF_A_PART = ('FreezeBackboneHook', 'FreezeHook', 'RecomputeHook')
_PRECISION = ('type', 'dtype', 'loss_scale', 'accumulative_counts')


def _type_of(model: Any) -> str:
    kind = model.get('type') if isinstance(model, dict) else None
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    return name.rpartition('.')[2]


def is_semi(model: Any) -> bool:
    """Whether the config of a model is a semi-supervised or an adversarial one."""
    return _type_of(model) in (_SEMI, _ADVERSARIAL)


def is_adversarial(model: Any) -> bool:
    """Whether the config of a model has a discriminator beside the segmentor."""
    return _type_of(model) == _ADVERSARIAL


def needs_unlabelled(model: Any) -> bool:
    """Whether a model of this config, or of the settings of a method, learns from such images."""
    return is_semi(model) and model.get('mode', 'semi') == 'semi'


def check_optimisers(cfg: Config) -> None:
    """Refuse an adversarial config without an optimiser for each of its networks.

    Raises:
        ValueError: Saying what to write.
    """
    own = cfg.get('optim_wrapper') or {}
    lacking = [name for name in ('segmentor', 'discriminator') if name not in own]
    if is_adversarial(cfg.get('model')) and (lacking or own.get('constructor') != _PARTS):
        raise ValueError(
            f'model.type={_ADVERSARIAL} needs two optimisers, '
            + (f'and optim_wrapper has no {lacking[0]}' if lacking else 'and their constructor')
            + f": optim_wrapper=dict(constructor='{_PARTS}', segmentor=dict(optimizer=...), "
            'discriminator=dict(optimizer=...))'
        )


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

    Of an adversarial one the optimisers stay.

    Returns:
        Settings with which :func:`join_unlabelled` makes it one again; ``None`` for a plain config,
        which stays as it is.
    """
    if not is_semi(cfg.model):
        return None
    settings = {key: value for key, value in cfg.model.items() if key not in _OF_MODEL}
    settings['type'] = _type_of(cfg.model)
    use_plain(cfg)
    if needs_unlabelled(settings):
        _take_labelled(cfg)
    cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook.type != _HOOK]
    if settings['type'] == _SEMI:
        cfg.optim_wrapper.pop('constructor', None)
    if cfg.get('val_evaluator'):
        cfg.val_evaluator = [one for one in metrics_of(cfg, 'val') if one['type'] not in _QUALITY]
    return settings


def _take_labelled(cfg: Config) -> None:
    loader = cfg.train_dataloader
    sampler = loader.sampler
    loader.dataset = loader.dataset.datasets[0]
    loader.batch_size = sampler.labelled
    endless = sampler.get('endless', True)
    loader.sampler = dict(type='InfiniteSampler' if endless else 'DefaultSampler', shuffle=True)
    cfg.pop('unlabelled_pipeline', None)  # a variable of the file


def join_unlabelled(
    cfg: Config, unlabelled: dict, settings: dict, *, with_masks: bool = False
) -> None:
    """Wrap a config's model, and join unlabelled images to its training data.

    Args:
        cfg: A plain config; changed in place.
        unlabelled: Config of the data set; its pipeline is replaced by the row's. It is not read
            where the settings need none.
        settings: Of the wrapper, with its ``type``.
        with_masks: Read the masks that the data set names, for analysis.

    Raises:
        ValueError: If the row's pipeline loads no labels.
    """
    if needs_unlabelled(settings):
        _join_data(cfg, unlabelled, with_masks, _num_views(settings))
    _wrap_model(cfg, settings)
    parts = ['segmentor']
    if settings['type'] == _ADVERSARIAL:
        _use_two_optimisers(cfg)
    else:
        cfg.optim_wrapper.setdefault('constructor', _CONSTRUCTOR)
        parts = ['student', 'peer'] if settings.get('two_students') else ['student']
    hooks = [hook for old in cfg.get('custom_hooks') or [] for hook in _moved(old, parts)]
    cfg.custom_hooks = hooks if settings['type'] == _ADVERSARIAL else [*hooks, dict(type=_HOOK)]
    _measure(cfg, _QUALITY if settings['type'] == _SEMI else _QUALITY[:1])


def _measure(cfg: Config, kinds: tuple[str, ...]) -> None:
    """Let each validation measure calibration and pseudo labels, beside its scores."""
    metrics = metrics_of(cfg, 'val')
    missing = set(kinds) - {one['type'] for one in metrics}
    if metrics:
        cfg.val_evaluator = [*metrics, *(dict(type=k) for k in kinds if k in missing)]


def _use_two_optimisers(cfg: Config) -> None:
    """Give the discriminator an optimiser in the same precision, stepping at the same times.

    Its rate falls to zero by the poly policy, unless the row's is constant: the row's own schedule
    may end at a rate that is none for the discriminator.
    """
    own, schedule = cfg.optim_wrapper, cfg.get('param_scheduler')
    if own.get('constructor') == _PARTS:
        return
    same = {key: own[key] for key in _PRECISION if key in own}
    other = dict(same, optimizer=dict(_DISCRIMINATOR))
    cfg.optim_wrapper = dict(constructor=_PARTS, segmentor=own, discriminator=other)
    if schedule:
        by_epoch = 'max_epochs' in (cfg.get('train_cfg') or {})
        poly = dict(type='PolyLR', eta_min=0.0, power=0.9, by_epoch=by_epoch)
        cfg.param_scheduler = dict(segmentor=schedule, discriminator=[poly])


def _num_views(settings: dict) -> int:
    weak = settings['type'] == _ADVERSARIAL or settings.get('student_view') == 'weak'
    return 0 if weak else len(settings.get('strong_weights', (1,)))


def _wrap_model(cfg: Config, settings: dict) -> None:
    segmentor = dict(cfg.model)
    if cfg.get('load_from'):
        segmentor['init_cfg'] = dict(type='Pretrained', checkpoint=cfg.load_from)
        cfg.load_from = None
    cfg.model = dict(segmentor=segmentor, **settings)


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


def _moved(hook: dict, networks: list[str]) -> list[dict]:
    """Hooks that name a part of the network, for the networks within."""
    if hook.get('type') not in _OF_A_PART:
        return [hook]
    part = hook.get('module', 'backbone')
    return [dict(hook, module=f'{network}.{part}') for network in networks]
