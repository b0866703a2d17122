"""HTML report of a data set check in a single file: findings, class frequencies, thumbnails."""

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from ....core.files import write_bytes
from ....core.labels import background_of, evenly
from ....core.masks import read_mask
from ....datasets.loading import colors_to_ids
from ...draw.blocks import (
    Cell,
    Example,
    Examples,
    Facts,
    Fold,
    Legend,
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
from ..file import DataFile
from .findings import DataReport, Sample
from .text import class_head, class_rows, size_text

_WIDTH = 300  # width of a thumbnail in pixels
_EXAMPLES, _BROKEN = 6, 12  # most thumbnails per split, and of files with a problem
UNKNOWN = (255, 0, 255)
_OPEN = 30  # up to so many messages of a kind are shown unfolded


def write_page(report: DataReport, out: Path) -> Path:
    """Write the page in one step and return its path."""
    data = report.data
    errors = sum(map(len, report.errors.values()))
    warnings = sum(map(len, report.warnings.values()))
    parts = ', '.join(f'{part} {len(report.of(part))}' for part in data.parts)
    none = Note('None: every file can be read, and every value has a class.')
    sections = [
        _findings('To be put right', report.errors) if errors else section('Errors', none),
        _findings('To be known', report.warnings) if warnings else None,
        _frequencies(report),
        _problems(report),
        *(_examples(report, part) for part in data.parts),
    ]
    page = Page(
        title=f'Data set {data.name}',
        lead=f'{data.path}: {errors} errors, {warnings} warnings; {parts} images',
        sections=[part for part in sections if part is not None],
        footer='Written by python tools/dataset.py check.',
    )
    return write_bytes(out, render(page))


def _findings(heading: str, found: dict[str, list[str]]) -> Section:
    folds = [
        Fold(
            kind,
            [Listing(messages)],
            opened=len(messages) <= _OPEN,
            remark=f'({len(messages)})',
        )
        for kind, messages in found.items()
    ]
    return section(heading, *folds)


def _frequencies(report: DataReport) -> Section:
    of = {part: report.of(part) for part in report.data.parts}
    sizes = {part: f'{len(found)} images of {size_text(found)}' for part, found in of.items()}
    lines = [Line(Cell(name), plain(*cells)) for name, *cells in class_rows(report)]
    note = (
        'Share of all pixels in per cent, and in how many masks the class occurs. '
        'tools/class_weights.py turns shares into weights of a loss.'
    )
    return section(
        'Classes',
        Facts(sizes),
        Table(class_head(report), lines, 'classes'),
        Note(note),
        _legend(report.data),
    )


def _legend(data: DataFile) -> Legend:
    items = [Swatch(name, color) for name, color in zip(data.classes, data.palette)]
    return Legend([*items, Swatch('ignored', VOID), Swatch('no class', UNKNOWN)])


def _problems(report: DataReport) -> Optional[Section]:
    kinds: dict[str, list[Sample]] = {}
    for sample in report.samples:
        if sample.kind and len(kinds.setdefault(sample.kind, [])) < _BROKEN:
            kinds[sample.kind].append(sample)
    shown = [s for samples in kinds.values() for s in samples[: _BROKEN // len(kinds)]]
    if not shown:
        return None
    return section('Files with a problem', _thumbnails(report.data, shown))


def _examples(report: DataReport, part: str) -> Optional[Section]:
    own = report.of(part)
    good = own.take(p for p, s in enumerate(own) if s.content is not None and not s.kind)
    chosen = choose_examples(good, len(report.data.classes), _EXAMPLES)
    if not chosen:
        return None
    heading = f'{part}: {len(chosen)} of {len(report.of(part))} images, chosen to show every class'
    return section(heading, _thumbnails(report.data, chosen), _legend(report.data))


def choose_examples(samples: Sequence[Sample], num_classes: int, limit: int) -> list[Sample]:
    """Choose samples that show as many classes as possible, then evenly spaced ones.

    Args:
        samples: Samples with their class counts. Those with rare classes come first.
        num_classes: K.
        limit: Largest number of samples.
    """
    if not samples:
        return []
    masks = np.zeros(num_classes, np.int64)  # with each class
    best = np.zeros((num_classes, num_classes), np.int64)  # pixels of the mask with the most of it
    places = [0] * num_classes
    for place, sample in enumerate(samples):
        pixels = sample.content.pixels[:num_classes] if sample.content else masks * 0
        masks += pixels > 0
        for label in np.flatnonzero(pixels > best.diagonal()).tolist():
            best[label], places[label] = pixels, place
    chosen: dict[int, np.ndarray] = {}
    for label in np.argsort(masks, kind='stable').tolist():
        covered = any(pixels[label] for pixels in chosen.values())
        if not covered and masks[label] and len(chosen) < limit:
            chosen[places[label]] = best[label]
    for place in evenly(range(len(samples)), limit):
        if place not in chosen and len(chosen) < limit:
            chosen[place] = masks
    return [samples[index] for index in sorted(chosen)]


def _thumbnails(data: DataFile, samples: Sequence[Sample]) -> Examples:
    return Examples([_example(data, sample) for sample in samples], over=True)


def _example(data: DataFile, sample: Sample) -> Example:
    """Show an image and its mask side by side, as far as they can be read."""
    image, mask, name = _image(sample), _mask(data, sample), sample.pair.stem
    pictures, missing = [], []
    if image is None:
        missing.append('image: unreadable')
    else:
        content = encode(shrink(image, _WIDTH, smooth=True), file_format='JPEG')
        pictures.append(Picture(content, 'jpeg', f'image of {name}', 'photo'))
    if mask is None:
        missing.append('mask: unreadable')
    else:
        fits = image is not None and image.shape[:2] == mask.shape
        pictures.append(_painted(data, mask, f'mask of {name}', 'labels' if fits else ''))
    pair = Pair('image and mask', pictures, missing='; '.join(missing))
    return Example(f'{sample.part}: {name}', [pair], warning=sample.kind)


def _image(sample: Sample) -> Optional[np.ndarray]:
    try:
        return read_rgb(sample.pair.image)
    except (ValueError, OSError):
        return None


def _mask(data: DataFile, sample: Sample) -> Optional[np.ndarray]:
    try:
        return labels_of(data, read_mask(sample.pair.mask, colors=data.color_masks))
    except (ValueError, OSError):
        return None


def _painted(data: DataFile, mask: np.ndarray, alt: str, role: str) -> Picture:
    """Draw a mask in its class colors; the background may be transparent."""
    small = shrink(mask.astype(np.int32), _WIDTH, smooth=False)
    shown = colorize(np.where(small < 0, data.ignore_index, small), data.palette)
    shown[small < 0] = UNKNOWN
    clear = background_of(data.classes)
    content = encode_flat(shown, None if clear is None else small == clear)
    return Picture(content, 'png', alt, role, None if clear is None else data.palette[clear])


def labels_of(data: DataFile, mask: np.ndarray) -> np.ndarray:
    """Map a stored mask to class ids, the ignored label, or -1 where a value has no class."""
    if mask.ndim == 2 and data.color_masks:
        mask = np.repeat(mask[..., None], 3, axis=2)
    if mask.ndim == 3:
        if not data.color_masks:
            return np.full(mask.shape[:2], -1, np.int64)
        order = list(data.values)
        labels = np.array([*data.values.values(), -1], np.int64)
        return labels[colors_to_ids(mask, order)]
    if data.mask_threshold is not None:
        return (mask >= data.mask_threshold).astype(np.int64)
    labels = np.full(mask.shape, -1, np.int64)
    for value, label in data.values.items():
        labels[mask == value] = label
    return labels
