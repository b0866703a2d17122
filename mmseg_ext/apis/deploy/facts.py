"""What an exported file says of itself, so that predicting needs nothing else."""

from typing import Any

import torch

from ...models.segmentors import LetterboxEncoderDecoder
from ...version import __version__
from ..predict.memory import bytes_per_pixel
from ..run.outcome.facts import git
from .graph import statistics_of

VERSION = 1  # of these entries; a reader refuses later ones
_NEEDED = (
    'classes', 'palette', 'mean', 'std', 'size', 'pipeline', 'test_cfg', 'channels',
    'align_corners', 'threshold', 'softmax_first', 'bytes_per_pixel',
)  # fmt: skip


def facts_of(model: Any, source: dict) -> dict:
    """Gather the facts of a model.

    Args:
        model: From ``load_model``.
        source: Where it comes from: ``config`` and ``checkpoint``.

    Returns:
        Values that JSON can hold. ``classes`` and ``palette`` (RGB); ``mean`` and ``std``, which
        the graph applies; ``size``, H and W in pixels of the training's crops, or ``None``;
        ``pipeline``, how a file becomes the graph's image, and ``tta_pipeline``, how it is flipped
        and scaled, ``None`` if the config does not say; ``test_cfg``, whole images or windows;
        ``bytes_per_pixel`` of the network, by which an image is predicted whole or in windows;
        ``channels`` of the logits, of which one alone is a foreground above ``threshold``;
        ``commit`` of this package.
    """
    mean, std = statistics_of(model)
    head = model.decode_head
    size = getattr(model.data_preprocessor, 'size', None)
    return dict(
        mmseg_ext_export=VERSION,
        input='image: (N, C, H, W) float32 as read, 0-255 for 8 bits; three channels are RGB',
        output='logits: (N, K, H, W) float32; normalisation is in the graph',
        **{key: [_plain(value) for value in model.dataset_meta[key]] for key in _LISTS},
        mean=mean,
        std=std,
        size=None if size is None else list(size),
        pipeline=_plain(model.cfg.test_pipeline),
        tta_pipeline=_plain(model.cfg.get('tta_pipeline')),
        test_cfg=_plain(dict(model.test_cfg)),
        channels=int(model.out_channels),
        align_corners=bool(model.align_corners),
        threshold=getattr(head, 'threshold', None),
        bytes_per_pixel=bytes_per_pixel(model, torch.zeros(len(mean), 1, 1, dtype=torch.uint8)),
        softmax_first=isinstance(model, LetterboxEncoderDecoder),
        commit=git('rev-parse', 'HEAD'),
        dirty=bool(git('status', '--porcelain')),
        version=__version__,
        torch=torch.__version__,
        **source,
    )


_LISTS = ('classes', 'palette')


def check_facts(facts: dict, path: Any) -> None:
    """Refuse a file that another program wrote, or a later version of this one.

    Raises:
        ValueError: If facts are missing, or are newer.
    """
    if 'mmseg_ext_export' not in facts:
        raise ValueError(f'{path} says nothing of its classes: export it with tools/export.py')
    if facts['mmseg_ext_export'] > VERSION:
        raise ValueError(
            f'{path} was exported by version {facts.get("version")} of this package, which says '
            f'more of it than {__version__} can read: update the package'
        )
    missing = [key for key in _NEEDED if key not in facts]
    if missing:
        raise ValueError(f'{path} lacks {", ".join(missing)}: export it again')


def _plain(value: Any) -> Any:
    """Turn parts of a config into what JSON holds.

    Raises:
        ValueError: If a value is of another kind, such as a class.
    """
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, type):
        return value.__name__
    raise ValueError(f'the test pipeline holds {value!r}, which a file cannot carry')
