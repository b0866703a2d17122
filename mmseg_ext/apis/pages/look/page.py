"""Write the page that shows what a model sees in training: samples, sizes, class frequencies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np
from mmengine.config import Config

from ....core.files import PathLike, write_bytes
from ....core.labels import background_of, voc_palette
from ...config.pipelines import pipeline_of
from ...draw.blocks import (
    Cell,
    Example,
    Examples,
    Line,
    Listing,
    Note,
    Page,
    Pair,
    Picture,
    Section,
    Swatch,
    Table,
    plain,
    section,
)
from ...draw.html import render
from ...draw.pixels import VOID, colorize, encode, encode_flat, read_rgb, shrink
from ...run.config import explained
from ..examples import photo
from .geometry import Draw, measure
from .masks import SplitMasks, count_masks, images_with, labels_of, parts_of, rarest_class
from .samples import Seen, first_samples, preprocessor_settings
from .words import objects_in_words, size_in_words, steps_in_words

_STRIPE = 4  # pixels
_DARK = (64, 64, 64)
_WIDEST = 1024  # wider samples are shrunk on the page
_RAREST = 4  # images with the rarest class


def write_look(cfg: Config, out: PathLike, *, number: int = 8, seed: int = 0) -> Path:
    """Write the page about a config's training data.

    Example::

        cfg = apis.load_config('configs/mfp/mfp_mobilenetv2_camvid.py')
        write_look(cfg, 'look.html', seed=3)

    Args:
        cfg: From ``load_config``, with the user's data or its own, made semi-supervised or not.
        out: HTML file; overwritten in one step.
        number: Samples to show.
        seed: Seed of their order and augmentation; the same seed gives the same page.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: If the training data are absent.
        ValueError: If the config has no data preprocessor, loads no labels or has no images.
    """
    if not cfg.get('train_dataloader'):
        raise ValueError(f'{cfg.filename or "the config"} has no train_dataloader to show')
    parts_of(cfg.train_dataloader.dataset)  # refuses data without masks
    with explained(cfg, 'the training data cannot be shown'):
        samples = first_samples(cfg, number, seed=seed)
    splits = _splits(cfg)
    train = splits['train']
    if isinstance(train, str):
        raise ValueError(train)
    palette = train.palette or voc_palette(len(train.classes))
    labelled = [sample for sample in samples if sample.labelled]
    others = [sample for sample in samples if not sample.labelled]
    name = Path(cfg.filename).stem if cfg.filename else 'config'
    page = Page(
        title=f'What {name} sees in training',
        lead=f'{train.number} training images with masks; samples and draws of seed {seed}',
        sections=[
            _sizes(cfg, train, seed),
            _samples(labelled, train.classes, palette),
            *([_views(others)] if others else []),
            _frequencies(splits),
            _rarest(cfg, train, palette),
        ],
        footer='Written by python tools/dataset.py show.',
    )
    return write_bytes(out, render(page))


def _splits(cfg: Config) -> dict[str, Union[SplitMasks, str]]:
    """Count each split; why it cannot be counted where val or test cannot."""
    found: dict[str, Union[SplitMasks, str]] = {'train': count_masks(cfg, 'train')}
    for split in ('val', 'test'):
        if not cfg.get(f'{split}_dataloader'):
            continue
        try:
            found[split] = count_masks(cfg, split)
        except (OSError, ValueError) as error:
            found[split] = f'{split} is not counted: {error}'
    return found


def _sizes(cfg: Config, train: SplitMasks, seed: int) -> Section:
    draws: list[Draw] = []
    try:
        draws = measure(cfg, preprocessor_settings(cfg), seed=seed)
        measured = size_in_words(draws)
    except Exception as error:  # a step of any library may refuse such a map
        measured = [f'How much of an image a sample shows was not measured: {error}']
    steps = pipeline_of(parts_of(cfg.train_dataloader.dataset)[0]) or []
    told = [steps_in_words(steps), *measured, objects_in_words(train.areas, draws)]
    return section('What happens to the size of images', Listing([t for t in told if t]))


def _samples(samples: Sequence[Seen], names: Sequence[str], palette: Any) -> Section:
    note = Note(
        'The first samples of a training, after all steps of its pipeline and the data '
        'preprocessor; its normalisation is undone for the eye. Striped: ignored by the loss, such '
        'as padding, which has the color of the mean.'
    )
    shown = [
        Example(
            sample.name,
            [Pair('as the model sees it', [_photo(sample), _labels(sample, names, palette)])],
            [Swatch(names[k], palette[k]) for k in np.unique(sample.label) if 0 <= k < len(names)],
        )
        for sample in samples
    ]
    heading = f'{len(samples)} samples as the model sees them'
    return section(heading, note, Examples(shown, over=True))


def _views(samples: Sequence[Seen]) -> Section:
    note = Note(
        'Weak: as the row augments. Strong: the same crop in other colors. Striped: padding.'
    )
    shown = []
    for sample in samples:
        views = {'weak': sample.picture}
        views |= {f'strong {place}': view for place, view in enumerate(sample.strong, start=1)}
        pairs = [
            Pair(kind, [_striped(view, sample.label < 0, f'{kind} view of {sample.name}')])
            for kind, view in views.items()
        ]
        shown.append(Example(sample.name, pairs))
    return section(f'{len(samples)} unlabelled samples', note, Examples(shown))


def _striped(pixels: np.ndarray, padding: np.ndarray, alt: str) -> Picture:
    small = np.array(shrink(pixels, _WIDEST, smooth=True))  # its own, to be drawn on
    _stripe(small, shrink(padding.astype(np.int32), _WIDEST, smooth=False) != 0)
    return Picture(encode(small), 'png', alt, 'photo')


def _photo(sample: Seen) -> Picture:
    return _picture(sample.picture, f'sample of {sample.name}')


def _picture(pixels: np.ndarray, alt: str) -> Picture:
    return Picture(encode(shrink(pixels, _WIDEST, smooth=True)), 'png', alt, 'photo')


def _labels(sample: Seen, names: Sequence[str], palette: Any) -> Picture:
    return label_picture(sample.label, names, palette, alt=f'labels of {sample.name}')


def label_picture(label: np.ndarray, names: Sequence[str], palette: Any, *, alt: str) -> Picture:
    """Draw a label map in the colors of its classes, with ignored pixels striped.

    The background is transparent, and so is everything where no class has a name.
    """
    small = shrink(label.astype(np.int32), _WIDEST, smooth=False)
    clear = background_of(names) if names else 0
    ignored = (small < 0) | (small >= max(1, len(names)))
    shown = colorize(np.where(ignored, 0, small), palette)
    _stripe(shown, ignored)
    content = encode_flat(shown, None if clear is None else (small == clear) & ~ignored)
    ground = None if clear is None or not names else palette[clear]
    return Picture(content, 'png', alt, 'labels', ground)


def _stripe(pixels: np.ndarray, where: np.ndarray) -> None:
    row, column = np.indices(where.shape)
    dark = (row + column) // _STRIPE % 2 == 1
    pixels[where & dark], pixels[where & ~dark] = _DARK, VOID


def _frequencies(splits: dict[str, Union[SplitMasks, str]]) -> Section:
    counted = {part: found for part, found in splits.items() if not isinstance(found, str)}
    head = ('class', *(f'{part} {what}' for part in counted for what in ('%', 'images')))
    classes = next(iter(counted.values())).classes
    lines = [Line(Cell(name), _cells(counted, k)) for k, name in enumerate([*classes, 'ignored'])]
    cut = [
        f'{part}: {len(found.pixels)} of {found.number} masks were counted, evenly spaced.'
        for part, found in counted.items()
        if len(found.pixels) < found.number
    ]
    failed = [found for found in splits.values() if isinstance(found, str)]
    note = Note('Share of all pixels in per cent, and the number of images that hold the class.')
    return section('Classes', note, Table(head, lines, 'classes'), *map(Note, [*cut, *failed]))


def _cells(counted: dict[str, SplitMasks], label: int) -> list[Cell]:
    cells = []
    for found in counted.values():
        pixels = found.pixels.sum(0)
        share = 100 * pixels[label] / max(int(pixels.sum()), 1)
        cells += plain(f'{share:.2f}', str(found.with_class[label]))
    return cells


def _rarest(cfg: Config, train: SplitMasks, palette: Any) -> Section:
    rare = rarest_class(train)
    images = images_with(train, rare, _RAREST)
    share = 100 * train.pixels[:, rare].sum() / train.pixels.sum()
    note = Note(
        f'{train.classes[rare]} has the fewest pixels of all classes that occur: {share:.3f} % of '
        f'all, in {train.with_class[rare]} of {len(train.pixels)} images. Those with most of it, '
        'as they are stored:'
    )
    shown = [
        _stored(image, label, train.classes, palette)
        for image, label in labels_of(cfg, images).items()
    ]
    return section(f'The rarest class: {train.classes[rare]}', note, Examples(shown, over=True))


def _stored(image: str, label: np.ndarray, names: Sequence[str], palette: Any) -> Example:
    name = Path(image).name
    pictures = [
        photo(read_rgb(image), 480, alt=f'image {name}'),
        label_picture(label, names, palette, alt=f'mask of {name}'),
    ]
    return Example(name, [Pair('image and mask', pictures)])
