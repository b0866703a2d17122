"""Check a data set file against its files: every image and mask is read once.

Shape letters: K class, H row, W column.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Optional

import numpy as np

from ....core.files import PathLike
from ....core.reading import Picture, UnfitImageError, read_picture
from ....core.spool import Mapped
from ....datasets.loading import size_mismatch
from ....datasets.mask_facts import MaskFacts
from ..file import PARTS, DataFile
from ..pairing import Pair, Paired, pair_files, read_group_file
from ..read import read_data_file
from ..scan import (
    each_in_threads,
    look_at_mask,
    read_as_trained,
    shows,
    signs_of,
    unknown_text,
)
from ..unlabelled import also_labelled, pixels_of, shared_notes
from .findings import UNKNOWN, DataReport, First, Sample
from .same import one_of_each_mask, same_images

_SHOWN = 5  # most files that a message names
_UNREADABLE, _UNFIT = 'unreadable files', 'images that the rows cannot read'
_TURNED, _TURNED_MASKS, _CLEAR, _THIN = (
    'images that an EXIF tag turns',
    'masks that an EXIF tag turns', 'images with opacity', 'very thin images'
)  # fmt: skip
_BRIGHT, _DIM = 'images above image_max_value', 'images of 8 bits below image_max_value'
_THINNEST = 100  # ratio of the longer to the shorter side
_OVER = 0.01  # share of an image's values; fewer are highlights, such as metal in CT


def check_data(path: PathLike, *, progress: bool = False) -> DataReport:
    """Read all images and masks of a data set file and report what is wrong.

    What is known of each file is kept in a temporary file, so memory hardly grows with them.
    Files are read, and refused, as in training (``core/reading.py``, ``core/masks.py``). Errors
    are: files that cannot be read, or not by the configs; masks whose size differs from their
    image; values without a class; images without a mask; images in two splits (also by content);
    and the signs of ``datasets/signs.py``. Warnings are: images twice in a split; unlabelled
    images that are also in a split; classes without a pixel in a split; masks without a label or an
    image; images of several types, with alpha, very thin, or rotated by an EXIF tag; groups in two
    splits.

    Example::

        print(len(apis.check_data('my_data.yml').errors))

    Args:
        path: The data set file.
        progress: Show a progress bar.

    Raises:
        FileNotFoundError: If the file, a folder or a list is absent, or a list names a missing
            file.
        ValueError: If the file contradicts itself, or a split is empty.
    """
    data = read_data_file(path)
    found = {part: pair_files(data, part) for part in PARTS if part in data.parts}
    jobs = ((part, pair) for part in found for pair in found[part].pairs)
    number = sum(len(paired.pairs) for paired in found.values())
    title = 'read images and masks' if progress else ''
    report = DataReport(data)
    for sample in each_in_threads(lambda job: _look(data, *job), jobs, number, title=title):
        report.append(sample)
    _add_problems(report)
    _add_unpaired(report, found)
    _add_shared(report)
    _add_unlabelled(report)
    _add_groups(report)
    _add_absent_classes(report)
    _add_kinds(report)
    _add_notes(report)
    _add_signs(report)
    return report


def _look(data: DataFile, part: str, pair: Pair) -> Sample:
    sample = Sample(part, pair)
    image, sample = _look_at_image(data, sample)
    try:
        look = look_at_mask(data, pair.mask)
    except (ValueError, OSError) as error:
        return sample.with_problem(_UNREADABLE, error)
    if look.orientation != 1:
        sample = sample._replace(notes=(*sample.notes, (_TURNED_MASKS, pair.mask)))
    if image is None:
        return sample
    if look.content.size != sample.size:
        text = size_mismatch(pair.mask, look.content.size, pair.image, sample.size)
        return sample.with_problem('size mismatches', text)
    return sample._replace(
        content=look.content, facts=look.facts, same=not sample.problems and shows(image, look)
    )


def _look_at_image(data: DataFile, sample: Sample) -> tuple[Optional[np.ndarray], Sample]:
    path = sample.pair.image
    try:
        try:
            picture = read_as_trained(data, path)
        except UnfitImageError as error:  # other findings on it are still reported
            sample = sample.with_problem(_UNFIT, error)
            picture = read_picture(path)
    except (ValueError, OSError) as error:
        return None, sample.with_problem(_UNREADABLE, error)
    image, header = picture
    return image, sample._replace(
        size=(image.shape[0], image.shape[1]),
        depth=header.depth,
        digest=pixels_of(image),
        blank=bool(data.volume_file) and bool((image == image[0, 0]).all()),
        notes=tuple((kind, path) for kind in _notes_of(data, path, picture)),
    )


def _notes_of(data: DataFile, path: str, picture: Picture) -> Iterator[str]:
    height, width = picture.pixels.shape[:2]
    if picture.header.orientation != 1:
        yield _TURNED
    if max(height, width) > _THINNEST * min(height, width):
        yield _THIN
    if picture.header.alpha:
        opacity = read_picture(path).pixels[..., -1]
        if (opacity != opacity[0, 0]).any():
            yield _CLEAR
    if (data.image_max_value or 0) > 255 and picture.header.dtype == 'uint8':
        yield _DIM
    elif data.image_max_value and (picture.pixels > 255).mean() > _OVER:  # white has become 255
        yield _BRIGHT


def _add(place: dict[str, list[str]], kind: str, messages: list[str]) -> None:
    if messages:
        place.setdefault(kind, []).extend(messages)


def _add_problems(report: DataReport) -> None:
    for sample in report.samples:
        for kind, text in sample.problems:
            _add(report.errors, kind, [text])
    pixels: Counter = Counter()
    masks: dict[Any, First] = defaultdict(lambda: First(1))
    for sample in report.samples:
        for value, number in (sample.content.unknown if sample.content else {}).items():
            pixels[value] += number
            masks[value].add(sample.pair.mask)
    for value, number in pixels.most_common(20):
        text = unknown_text(report.data, masks[value].names[0], {value: number})
        others = f' ({number} pixels in {masks[value].count} masks)'
        _add(report.errors, UNKNOWN, [text + others])
    if len(pixels) > 20:
        more = f'and {len(pixels) - 20} more values'
        _add(report.errors, UNKNOWN, [more])


def _add_unpaired(report: DataReport, found: dict[str, Paired]) -> None:
    for part, paired in found.items():
        if paired.no_mask:
            text = f'{part}: {len(paired.no_mask)} images, {_names(paired.no_mask)}'
            _add(report.errors, 'images without a mask', [text])
        if paired.no_image:
            text = f'{part}: {len(paired.no_image)} masks, {_names(paired.no_image)}'
            _add(report.warnings, 'masks without an image', [text])


_EXPLAINED = {
    _TURNED: 'training turns them, as viewers do; masks drawn on the pixels as stored do not fit',
    _TURNED_MASKS: 'training turns them, too; those drawn on upright images do not fit',
    _CLEAR: 'it is dropped, and the colors below it are what training sees',
    _BRIGHT: 'more than 1 % of their values are whiter than white in training; raise it to the '
    'largest value of all images',
    _DIM: 'training sees them nearly black; give all images the same bits',
    _THIN: 'a row that scales them down leaves no pixel of the short side',
}


def _add_notes(report: DataReport) -> None:
    found = {kind: First(_SHOWN) for kind in _EXPLAINED}
    for sample in report.samples:
        for kind, name in sample.notes:
            found[kind].add(name)
    for kind, first in found.items():
        if first.count:
            what = 'masks' if kind == _TURNED_MASKS else 'images'
            _add(report.warnings, kind, [f'{first.count} {what}, {first}: {_EXPLAINED[kind]}'])


def _add_signs(report: DataReport) -> None:
    known = one_of_each_mask(report.samples)
    facts: Sequence[MaskFacts] = Mapped(known, lambda sample: sample.facts)
    for sign in signs_of(report.data, facts, [sample.same for sample in known]):
        place = report.errors if sign.wrong else report.warnings
        _add(place, sign.kind, [sign.text])


def _names(names: list[str]) -> str:
    return ', '.join(names[:_SHOWN]) + (' and more' if len(names) > _SHOWN else '')


def _add_shared(report: DataReport) -> None:
    """Report images that have the same pixels or are the same file."""
    across: list[str] = []
    within: list[str] = []
    for group in same_images(report.samples):
        (across if len(group.parts) > 1 else within).append(' = '.join(group.first.names))
    _add(report.errors, 'images in two splits', across)
    _add(report.warnings, 'images twice in one split', within)


def _add_unlabelled(report: DataReport) -> None:
    """Images without masks that a split holds, too."""
    if report.data.unlabelled:
        notes = shared_notes(also_labelled(report.data))
        _add(report.warnings, 'unlabelled images in a split', notes)


def _add_groups(report: DataReport) -> None:
    if not report.data.group_file:
        return
    groups = read_group_file(report.data)
    absent, parts = First(_SHOWN), defaultdict(set)
    for sample in report.samples:
        if sample.pair.stem in groups:
            parts[groups[sample.pair.stem]].add(sample.part)
        else:
            absent.add(sample.pair.image)
    if absent.count:
        _add(report.errors, 'images without a group', [f'{absent.count} images, {absent}'])
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
        empty = First(_SHOWN)
        for sample in report.of(part):
            if sample.content and not sample.content.pixels[:-1].sum():
                empty.add(sample.pair.mask)
        if empty.count:
            text = f'{part}: {empty.count} masks, {empty}'
            _add(report.warnings, 'masks without a labelled pixel', [text])


def _add_kinds(report: DataReport) -> None:
    kinds = Counter(sample.depth for sample in report.samples if sample.depth)
    if len(kinds) > 1:
        text = ', '.join(f'{number} of {kind}' for kind, number in kinds.most_common())
        _add(report.warnings, 'images of several kinds (channels x type)', [text])
