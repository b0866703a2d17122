"""The check of a data set as a page that needs nothing else: findings, frequencies, thumbnails."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Optional

import numpy as np

from ...core.files import write_bytes
from ...core.labels import background_of, evenly
from ...core.reading import read_mask
from ...datasets.loading import colors_to_ids
from ..draw.html import page, picture, section, swatch, table
from ..draw.pixels import colorize, encode, overlay, read_rgb, shrink
from .check import DataReport, Sample, class_head, class_rows, size_text
from .file import DataFile

_WIDTH = 300  # pixels of a thumbnail
_EXAMPLES, _BROKEN = 6, 12  # thumbnails of a split, and of files with a problem
_UNKNOWN = (255, 0, 255)
_OPEN = 30  # messages of a kind that are shown unfolded


def write_page(report: DataReport, out: Path) -> Path:
    """Write the page, whole or not at all, and return its path."""
    data = report.data
    errors = sum(map(len, report.errors.values()))
    warnings = sum(map(len, report.warnings.values()))
    parts = ', '.join(f'{part} {len(report.of(part))}' for part in data.parts)
    body = [
        _findings('To be put right', report.errors) if errors else section(
            'Errors', '<p>None: every file can be read, and every value has a class.</p>'
        ),
        _findings('To be known', report.warnings) if warnings else '',
        _frequencies(report),
        _problems(report),
        *(_examples(report, part) for part in data.parts),
    ]  # fmt: skip
    text = page(
        title=f'Data set {data.name}',
        lead=f'{data.path}: {errors} errors, {warnings} warnings; {parts} images',
        body='\n'.join(part for part in body if part),
        footer='Written by python tools/dataset.py check.',
    )
    return write_bytes(out, text.encode('utf-8'))


def _findings(heading: str, found: dict[str, list[str]]) -> str:
    parts = []
    for kind, messages in found.items():
        lines = ''.join(f'<li>{escape(message)}</li>' for message in messages)
        shown = ' open' if len(messages) <= _OPEN else ''
        parts.append(
            f'<details{shown}><summary><strong>{escape(kind)}</strong> ({len(messages)})</summary>'
            f'<ul>{lines}</ul></details>'
        )
    return section(heading, '\n'.join(parts))


def _frequencies(report: DataReport) -> str:
    sizes = ''.join(
        f'<dt>{escape(part)}</dt><dd>{len(report.of(part))} images of '
        f'{escape(size_text(report.of(part)))}</dd>'
        for part in report.data.parts
    )
    note = (
        '<p class="soft">Share of all pixels in per cent, and in how many masks the class occurs. '
        'tools/class_weights.py turns shares into weights of a loss.</p>'
    )
    rows = class_rows(report)
    return section(
        'Classes',
        f'<dl>{sizes}</dl>{table(class_head(report), rows)}{note}{_legend(report.data)}',
    )


def _legend(data: DataFile) -> str:
    items = ''.join(
        f'<li>{swatch(color)}{escape(name)}</li>' for name, color in zip(data.classes, data.palette)
    )
    return (
        f'<ul class="legend">{items}<li>{swatch((224, 224, 224))}ignored</li>'
        f'<li>{swatch(_UNKNOWN)}no class</li></ul>'
    )


def _problems(report: DataReport) -> str:
    broken = [sample for sample in report.samples if sample.kind]
    kinds: dict[str, list[Sample]] = {}
    for sample in broken:
        kinds.setdefault(sample.kind, []).append(sample)
    shown = [s for samples in kinds.values() for s in samples[: _BROKEN // len(kinds)]]
    if not shown:
        return ''
    return section('Files with a problem', _grid(report.data, shown))


def _examples(report: DataReport, part: str) -> str:
    good = [sample for sample in report.of(part) if sample.content is not None and not sample.kind]
    chosen = choose_examples(good, len(report.data.classes), _EXAMPLES)
    if not chosen:
        return ''
    heading = f'{part}: {len(chosen)} of {len(report.of(part))} images, chosen to show every class'
    return section(heading, _grid(report.data, chosen) + _legend(report.data))


def choose_examples(samples: Sequence[Sample], num_classes: int, limit: int) -> list[Sample]:
    """Choose samples that show as many classes as possible, rare ones first, then an even spread.

    Args:
        samples: With their counts.
        num_classes: K.
        limit: How many at most.
    """
    if not samples:
        return []
    pixels = np.array([sample.content.pixels[:num_classes] for sample in samples if sample.content])
    chosen: list[int] = []
    for label in np.argsort((pixels > 0).sum(axis=0), kind='stable'):
        covered = any(pixels[index, label] for index in chosen)
        if not covered and pixels[:, label].any() and len(chosen) < limit:
            chosen.append(int(pixels[:, label].argmax()))
    for place in evenly(range(len(samples)), limit):
        if place not in chosen and len(chosen) < limit:
            chosen.append(place)
    return [samples[index] for index in sorted(chosen)]


def _grid(data: DataFile, samples: Sequence[Sample]) -> str:
    return f'<div class="curves">{"".join(_figure(data, sample) for sample in samples)}</div>'


def _figure(data: DataFile, sample: Sample) -> str:
    """An image and its mask side by side, as far as they can be read."""
    cells = []
    for alt, shown in (('image', _image(sample)), ('mask', _mask(data, sample))):
        if shown is None:
            cells.append(f'<div>{alt}: unreadable</div>')
        else:
            small = shrink(shown, _WIDTH, smooth=alt == 'image')
            content = encode(small, file_format='JPEG')
            text = f'{alt} of {sample.pair.stem}'
            cells.append(f'<div>{picture(content, kind="jpeg", alt=text)}</div>')
    problem = f' <strong>{escape(sample.kind)}</strong>' if sample.kind else ''
    caption = f'{escape(sample.part)}: {escape(sample.pair.stem)}{problem}'
    return (
        '<figure><div style="display:grid;grid-template-columns:1fr 1fr;gap:.4rem">'
        f'{"".join(cells)}</div><figcaption>{caption}</figcaption></figure>'
    )


def _image(sample: Sample) -> Optional[np.ndarray]:
    try:
        return read_rgb(sample.pair.image)
    except (ValueError, OSError):
        return None


def _mask(data: DataFile, sample: Sample) -> Optional[np.ndarray]:
    """The mask's colors over its image, or alone where it has another size."""
    try:
        labels = labels_of(data, read_mask(sample.pair.mask, colors=data.color_masks))
    except (ValueError, OSError):
        return None
    image = _image(sample)
    unknown = labels < 0
    labels[unknown] = data.ignore_index
    if image is None or image.shape[:2] != labels.shape:
        shown = colorize(labels, data.palette)
    else:
        clear = background_of(data.classes)
        shown = overlay(image, labels, data.palette, clear=clear)
    shown[unknown] = _UNKNOWN
    return shown


def labels_of(data: DataFile, mask: np.ndarray) -> np.ndarray:
    """Class ids of a mask as stored, the ignored label, or -1 where a value has no class."""
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
