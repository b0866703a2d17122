"""Train any config also on unlabelled images: ``tools/train.py CONFIG --semi fixmatch``."""

import logging
from typing import Any, Optional

from mmengine.config import Config
from mmengine.logging import print_log

from ...core.files import PathLike
from ...core.words import check_choice, check_number
from ...models.segmentors import semi
from ..config.check import check_config
from ..config.semi import is_semi, join_unlabelled, needs_unlabelled
from ..userdata.read import read_data_file
from ..userdata.unlabelled import (
    also_labelled,
    shared_notes,
    stems_to_leave_out,
    unlabelled_dataset,
    unlabelled_images,
)

# Settings of each method's segmentor, as its source has them.
METHODS: dict[str, dict] = {
    **{name: dict(type='SemiSegmentor', **settings) for name, settings in semi.METHODS.items()},
    'adversarial': dict(type='AdversarialSegmentor'),
}


def use_semi_data(cfg: Config, method: str, dataset: PathLike, /, **settings: Any) -> None:
    """Let a config also train on the unlabelled images of a user's data, less the labelled ones.

    Args:
        cfg: Config that was already changed for the data; changed in place.
        method: One of ``METHODS``.
        dataset: File that describes the user's data, with an entry ``unlabelled``.
        settings: Arguments of the method's segmentor that override those of the method.

    Raises:
        FileNotFoundError: If the unlabelled images' folder, their list or a listed image is absent.
        ValueError: If the method or the entry does not exist, or the config or a setting does not
            fit.
    """
    if 'with_masks' in settings:
        raise ValueError('--semi-options with_masks: unlabelled images of your data have no masks')
    data = read_data_file(dataset)
    unlabelled_images(data)  # refuses what is not there
    use_semi(cfg, method, unlabelled_dataset(data, ()), **settings)
    leave_out_labelled(cfg, dataset)


def leave_out_labelled(cfg: Config, dataset: Optional[PathLike]) -> None:
    """Take the images of all splits out of the unlabelled ones that a config trains on, if it does.

    Images are compared by their pixels. A warning names those that splits hold, and the log tells
    how many unlabelled images are left.

    Args:
        cfg: Config that was already changed for the data; changed in place.
        dataset: File that describes the user's data; ``None`` does nothing.

    Raises:
        FileNotFoundError: If the folder or the list of unlabelled images is absent.
        ValueError: If val and test hold all unlabelled images.
    """
    if dataset is None or not needs_unlabelled(cfg.model):
        return
    data = read_data_file(dataset)
    found = also_labelled(data)
    for note in shared_notes(found):
        print_log(f'{data.name}: {note}', 'current', logging.WARNING)
    stems = stems_to_leave_out(data, found)
    if stems:
        cfg.train_dataloader.dataset.datasets[1].left_out = stems
    counts = cfg.train_dataloader.sampler
    print_log(
        f'{data.name}: {len(unlabelled_images(data)) - len(stems)} unlabelled images; a batch is '
        f'{counts.labelled} labelled and {counts.unlabelled} unlabelled ones',
        'current',
    )


def use_semi(
    cfg: Config, method: str, unlabelled: dict, /, *, with_masks: bool = False, **settings: Any
) -> None:
    """Wrap a config's model, and join unlabelled images to its training data.

    As many unlabelled images as there are labelled ones are added to each batch. The number of
    iterations stays the same. Unlabelled images pass through the config's own pipeline. The weights
    in ``load_from`` become the segmentor's ``init_cfg``.

    Example::

        cfg = apis.load_config('configs/mfp/mfp_mobilenetv2_camvid.py')
        rest = dict(cfg.train_dataloader.dataset, ann_file='unlabelled.txt')
        apis.use_semi(cfg, 'fixmatch', rest, threshold=0.9)

    Args:
        cfg: From ``load_config``; changed in place.
        method: One of ``METHODS``.
        unlabelled: Config of the data set of unlabelled images; its pipeline is replaced.
        with_masks: Whether to read masks of unlabelled images, to log the precision of the pseudo
            labels. Training does not use these masks.
        settings: Arguments of the method's segmentor that override those of the method; of
            ``'adversarial'`` also ``discriminator_lr``, the rate of its second optimiser.

    Raises:
        ValueError: If there is no such method, the config is already semi-supervised, its pipeline
            loads no labels, the method would use no unlabelled images, or a setting is none of it.
    """
    check_choice('--semi', method, tuple(METHODS))
    if is_semi(cfg.model):
        raise ValueError(
            f'{cfg.filename} is semi-supervised already: take a plain config, or leave --semi out'
        )
    for name in settings.keys() & {'type', 'segmentor'}:
        raise ValueError(
            f'--semi-options {name}: --semi {method} and the config decide on it: leave it out'
        )
    rate = settings.pop('discriminator_lr', None) if method == 'adversarial' else None
    settings = {**METHODS[method], **settings}
    if not needs_unlabelled(settings):
        raise ValueError(
            f'--semi {method}: mode={settings["mode"]} learns from no unlabelled images, which '
            '--semi is for: write a config with this mode instead'
        )
    join_unlabelled(cfg, unlabelled, settings, with_masks=with_masks)
    if rate is not None:
        check_number('discriminator_lr', rate)
        if rate < 0:
            raise ValueError(f'discriminator_lr must not be negative, got {rate}')
        cfg.optim_wrapper.discriminator.optimizer.lr = rate
    check_config(cfg)
