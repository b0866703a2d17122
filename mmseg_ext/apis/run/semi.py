"""Let any config learn from unlabelled images, too: ``tools/train.py CONFIG --semi fixmatch``."""

import logging
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ...core.files import PathLike
from ...core.words import check_choice
from ...models.segmentors.semi import METHODS
from ..config.check import check_config
from ..config.semi import is_semi, join_unlabelled
from ..userdata.read import read_data_file
from ..userdata.unlabelled import shared_notes, unlabelled_dataset, unlabelled_images


def use_semi_data(cfg: Config, method: str, dataset: PathLike, **settings: Any) -> None:
    """Let a config learn from the unlabelled images of a user's data, too.

    Unlabelled images that a split holds, too, are found by their pixels and told in the log.

    Args:
        cfg: Already changed for the data; changed in place.
        method: One of ``METHODS``.
        dataset: The data set file, with an entry ``unlabelled``.
        settings: Arguments of ``SemiSegmentor`` that replace the method's.

    Raises:
        FileNotFoundError: If its folder, its list or an image that it names is absent.
        ValueError: If there is no such method or entry, or the config does not fit.
    """
    data = read_data_file(dataset)
    images = unlabelled_images(data)
    for note in shared_notes(data):
        print_log(f'{data.name}: {note}', 'current', logging.WARNING)
    use_semi(cfg, method, unlabelled_dataset(data, ()), **settings)
    counts = cfg.train_dataloader.sampler
    print_log(
        f'{data.name}: {method}, {len(images)} unlabelled images; a batch is {counts.labelled} '
        f'labelled and {counts.unlabelled} unlabelled ones',
        'current',
    )


def use_semi(
    cfg: Config, method: str, unlabelled: dict, *, with_masks: bool = False, **settings: Any
) -> None:
    """Wrap a config's model, and join unlabelled images to its training data.

    A batch then holds as many unlabelled images as labelled ones, whose number stays, and so does
    the number of iterations. Unlabelled images pass through the row's own pipeline. Weights that a
    row starts from (``load_from``) become the segmentor's ``init_cfg``.

    Example::

        cfg = apis.load_config('configs/mfp/mfp_mobilenetv2_camvid.py')
        rest = dict(cfg.train_dataloader.dataset, ann_file='unlabelled.txt')
        apis.use_semi(cfg, 'fixmatch', rest, threshold=0.9)

    Args:
        cfg: From ``load_config``; changed in place.
        method: One of ``METHODS``.
        unlabelled: Config of their data set; its pipeline is replaced. Masks that it names are not
            read.
        with_masks: Read the masks all the same, to log the precision of pseudo labels.
        settings: Arguments of ``SemiSegmentor`` that replace the method's.

    Raises:
        ValueError: If there is no such method, the config is semi-supervised already, or its
            pipeline loads no labels.
    """
    check_choice('--semi', method, tuple(METHODS))
    if is_semi(cfg.model):
        raise ValueError(
            f'{cfg.filename} is semi-supervised already: take a plain config, or leave --semi out'
        )
    join_unlabelled(cfg, unlabelled, {**METHODS[method], **settings}, with_masks=with_masks)
    check_config(cfg)
