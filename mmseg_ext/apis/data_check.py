"""Check a data set file against its files: every image and mask is read once.

Shape letters: K class, H row, W column.
"""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np

from mmseg_ext.datasets.groups import read_groups
from mmseg_ext.datasets.loading import read_mask

from .data_file import PARTS, DataFile, read_data_file
from .data_scan import (
    MaskCount,
    Pair,
    Paired,
    count_mask,
    in_threads,
    orientation,
    pair_files,
    read_turned,
    unknown_text,
)

PathLike = Union[str, Path]
_SHOWN = 5  # files that a message names


class Sample(NamedTuple):
    """What was found out about one image and its mask.

    Args:
        part: Its split.
        pair: Its files.
        problem: What is wrong with them, empty if nothing.
        kind: Which kind of problem.
        size: H and W of the image.
        depth: Channels and type of the image, such as ``'3 x uint8'``.
        digest: Of the image's pixels.
        content: What the mask holds, ``None`` if it cannot be read.
    """

    part: str
    pair: Pair
    problem: str = ''
    kind: str = ''
    size: Tuple[int, int] = (0, 0)
    depth: str = ''
    digest: str = ''
    content: Optional[MaskCount] = None


@dataclass
class DataReport:
    """The outcome of a check.

    Args:
        data: The file.
        samples: All images and masks.
        errors: Kind -> messages on what must be put right before training.
        warnings: Kind -> messages on what should be known.
    """

    data: DataFile
    samples: List[Sample]
    errors: Dict[str, List[str]] = field(default_factory=dict)
    warnings: Dict[str, List[str]] = field(default_factory=dict)

    def of(self, part: str) -> List[Sample]:
        """The samples of a split."""
        return [sample for sample in self.samples if sample.part == part]

    def pixels(self, part: str) -> np.ndarray:
        """Pixels of each class of a split, and of the ignored label at the end, ``(K + 1,)``."""
        counts = [s.content.pixels for s in self.of(part) if s.content is not None]
        return np.sum(counts, axis=0) if counts else np.zeros(len(self.data.classes) + 1, np.int64)

    def masks_with(self, part: str) -> np.ndarray:
        """In how many masks of a split each class, and the ignored label, occurs, ``(K + 1,)``."""
        seen = [s.content.pixels > 0 for s in self.of(part) if s.content is not None]
        return np.sum(seen, axis=0) if seen else np.zeros(len(self.data.classes) + 1, np.int64)


def check_data(path: PathLike, *, progress: bool = False) -> DataReport:
    """Read all images and masks that a data set file names and report what is wrong.

    Reported are as errors: files that cannot be read, masks of another size than their image,
    values without a class, images without a mask, and images that two splits share (by content,
    as well); as warnings: images twice in one split, classes without a pixel in a split, masks
    without a label or an image, images of several kinds or turned by an EXIF tag, groups in two
    splits.

    Args:
        path: The data set file.
        progress: Show it.

    Raises:
        FileNotFoundError: If the file, a folder or a list is absent, or a list names what is not
            there.
        ValueError: If the file contradicts itself, or a split is empty.
    """
    data = read_data_file(path)
    found = {part: pair_files(data, part) for part in PARTS if part in data.parts}
    jobs = [(part, pair) for part in found for pair in found[part].pairs]
    title = 'read images and masks' if progress else ''
    samples = in_threads(lambda job: _look(data, *job), jobs, title=title)
    report = DataReport(data, samples)
    _add_problems(report)
    _add_unpaired(report, found)
    _add_shared(report)
    _add_groups(report)
    _add_absent_classes(report)
    _add_kinds(report)
    _add_turned(report)
    return report


def _look(data: DataFile, part: str, pair: Pair) -> Sample:
    sample = Sample(part, pair)
    try:
        image = read_turned(pair.image)
    except (ValueError, OSError) as error:
        return sample._replace(kind='unreadable files', problem=str(error))
    sample = sample._replace(
        size=(image.shape[0], image.shape[1]),
        depth=f'{image.shape[2]} x {image.dtype}',
        digest=hashlib.sha1(repr(image.shape).encode() + image.tobytes()).hexdigest(),
    )
    try:
        count = count_mask(data, read_mask(pair.mask))
    except (ValueError, OSError) as error:
        return sample._replace(kind='unreadable files', problem=str(error))
    if count.size != sample.size:
        return sample._replace(
            kind='size mismatches',
            problem=f'{pair.mask}: {count.size[0]}x{count.size[1]} (height x width), its image '
            f'{pair.image} {sample.size[0]}x{sample.size[1]}',
        )
    sample = sample._replace(content=count)
    if count.unknown:
        return sample._replace(kind='values without a class', problem='')
    return sample


def _add(place: Dict[str, List[str]], kind: str, messages: List[str]) -> None:
    if messages:
        place.setdefault(kind, []).extend(messages)


def _add_problems(report: DataReport) -> None:
    for sample in report.samples:
        if sample.problem:
            _add(report.errors, sample.kind, [sample.problem])
    pixels: Counter = Counter()
    masks: Dict[Any, List[str]] = defaultdict(list)
    for sample in report.samples:
        for value, number in (sample.content.unknown if sample.content else {}).items():
            pixels[value] += number
            masks[value].append(sample.pair.mask)
    for value, number in pixels.most_common(20):
        text = unknown_text(report.data, masks[value][0], {value: number})
        others = f' ({number} pixels in {len(masks[value])} masks)'
        _add(report.errors, 'values without a class', [text + others])
    if len(pixels) > 20:
        more = f'and {len(pixels) - 20} more values'
        _add(report.errors, 'values without a class', [more])


def _add_unpaired(report: DataReport, found: Dict[str, Paired]) -> None:
    for part, paired in found.items():
        if paired.no_mask:
            text = f'{part}: {len(paired.no_mask)} images, {_names(paired.no_mask)}'
            _add(report.errors, 'images without a mask', [text])
        if paired.no_image:
            text = f'{part}: {len(paired.no_image)} masks, {_names(paired.no_image)}'
            _add(report.warnings, 'masks without an image', [text])


def _add_turned(report: DataReport) -> None:
    turned = [
        sample.pair.image
        for sample in report.samples
        if sample.digest and orientation(sample.pair.image) != 1
    ]
    if turned:
        text = (
            f'{len(turned)} images, {_names(turned)}: training turns them, as viewers do; masks '
            'drawn on the pixels as stored do not fit'
        )
        _add(report.warnings, 'images that an EXIF tag turns', [text])


def _names(names: List[str]) -> str:
    return ', '.join(names[:_SHOWN]) + (' and more' if len(names) > _SHOWN else '')


def _add_shared(report: DataReport) -> None:
    """Images whose pixels are the same, or that are the same file."""
    same: Dict[str, List[Sample]] = defaultdict(list)
    for sample in report.samples:
        if sample.digest:
            same[sample.digest].append(sample)
    across, within = [], []
    for group in same.values():
        text = ' = '.join(f'{s.part}: {s.pair.image}' for s in group[:_SHOWN])
        if len({sample.part for sample in group}) > 1:
            across.append(text)
        elif len(group) > 1:
            within.append(text)
    _add(report.errors, 'images in two splits', across)
    _add(report.warnings, 'images twice in one split', within)


def _add_groups(report: DataReport) -> None:
    if not report.data.group_file:
        return
    groups = read_groups(str(report.data.root / report.data.group_file))
    parts: Dict[str, set] = defaultdict(set)
    for sample in report.samples:
        if sample.pair.stem in groups:
            parts[groups[sample.pair.stem]].add(sample.part)
    shared = [f'{group}: {", ".join(sorted(p))}' for group, p in parts.items() if len(p) > 1]
    _add(report.warnings, 'groups in two splits', shared)


def _add_absent_classes(report: DataReport) -> None:
    classes = report.data.classes
    for part in report.data.parts:
        pixels = report.pixels(part)
        absent = [name for name, number in zip(classes, pixels) if not number]
        why = 'never learnt' if part == 'train' else 'their scores are undefined'
        if absent:
            text = f'{part}: {", ".join(absent)} ({why})'
            _add(report.warnings, 'classes without a pixel', [text])
        empty = [
            s.pair.mask for s in report.of(part) if s.content and not s.content.pixels[:-1].sum()
        ]
        if empty:
            text = f'{part}: {len(empty)} masks, {_names(empty)}'
            _add(report.warnings, 'masks without a labelled pixel', [text])


def _add_kinds(report: DataReport) -> None:
    kinds = Counter(sample.depth for sample in report.samples if sample.depth)
    if len(kinds) > 1:
        text = ', '.join(f'{number} of {kind}' for kind, number in kinds.most_common())
        _add(report.warnings, 'images of several kinds (channels x type)', [text])
    deep = [kind for kind in kinds if 'uint8' not in kind or kind[0] not in '13']
    if deep:
        text = (
            f'{", ".join(deep)}: the rows read 8-bit colour or grey; convert the images, or use '
            'LoadImage in a config of your own'
        )
        _add(report.warnings, 'images that the rows reduce to 8-bit RGB', [text])


def as_text(report: DataReport) -> str:
    """Write the report for a terminal."""
    lines = []
    for part in report.data.parts:
        samples = report.of(part)
        lines.append(f'{part}: {len(samples)} images of {size_text(samples)}')
    lines += ['', *_class_lines(report)]
    for title, found in (('ERROR', report.errors), ('warning', report.warnings)):
        for kind, messages in found.items():
            lines += ['', f'{title}: {kind} ({len(messages)})']
            lines += [f'  {message}' for message in messages[:10]]
            lines += [f'  and {len(messages) - 10} more'] if len(messages) > 10 else []
    return '\n'.join(lines)


def size_text(samples: List[Sample]) -> str:
    """Sizes of images, height x width: all if they are few, else the smallest and the largest."""
    sizes = sorted({sample.size for sample in samples if sample.digest})
    if len(sizes) <= 3:
        return ', '.join(f'{height}x{width}' for height, width in sizes)
    heights, widths = ([size[axis] for size in sizes] for axis in (0, 1))
    return f'{len(sizes)} sizes from {min(heights)}x{min(widths)} to {max(heights)}x{max(widths)}'


def class_rows(report: DataReport) -> List[List[str]]:
    """Shares of pixels in per cent and masks that hold it, of each class and split."""
    rows = [[name] for name in (*report.data.classes, 'ignored')]
    for part in report.data.parts:
        pixels, masks = report.pixels(part), report.masks_with(part)
        for row, own, seen in zip(rows, pixels, masks):
            row += [f'{100 * own / max(pixels.sum(), 1):.2f}', str(seen)]
    return rows


def class_head(report: DataReport) -> List[str]:
    """The heading of :func:`class_rows`."""
    return ['class', *(f'{part} {what}' for part in report.data.parts for what in ('%', 'masks'))]


def _class_lines(report: DataReport) -> List[str]:
    table = [class_head(report), *class_rows(report)]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        '  '.join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths)))
        for row in table
    ]
