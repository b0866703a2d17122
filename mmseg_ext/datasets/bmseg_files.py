"""Converter from folders of images and masks to the layout of ``BMSegDataset``.

It writes masks of 0 and 1 and 8-bit images, both as lossless PNG. Nothing is resized. Grey masks
with soft edges, left by lossy compression or interpolation, are thresholded; masks that look like
anything else (class ids, several grey levels, colors) are refused.
Shape letters: H row, W column, C channel.
"""

import os
import re
from pathlib import Path
from typing import Any, Optional

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from ..core.files import replacing_folder
from ..core.masks import read_mask
from ..core.progress import track
from ..core.reading import read_image
from .bmseg import GROUPS, IMAGES, MASKS
from .folder import IMAGE_SUFFIXES
from .groups import groups_of, read_groups, write_groups
from .splits import split_ids, write_lists
from .stem_files import files_by_stem

DEFAULT_THRESHOLD = 127
_NEAR = 64  # values below this, or above 255 minus this, count as soft black or white
_GREY_SHARE = 0.1  # share of the foreground: soft edges stay below, a further grey level does not
_SHORT = 8  # a 16-bit series that uses less than 1/8 of its range is nearly black


def convert_bmseg(
    images: str,
    masks: str,
    out: str,
    *,
    bone_masks: Optional[str] = None,
    mask_suffix: str = '',
    bone_suffix: str = '',
    threshold: Optional[int] = None,
    strict: bool = False,
    patients: Optional[str] = None,
    patient_regex: Optional[str] = None,
    image_max: Optional[int] = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Convert a data set; the folder ``out`` appears only when it is complete.

    Besides images and masks it holds ``train.txt`` and ``val.txt``, split 9:1 with seed 0. If the
    patients are known, it also holds ``patients.csv``, and the split keeps patients together.

    Args:
        images: Folder of images; subfolders are kept.
        masks: Folder of lesion masks; may equal ``images`` if ``mask_suffix`` tells them apart.
        out: Folder to create; it may exist if it is empty.
        bone_masks: Folder of bone masks.
        mask_suffix: What the stem of a lesion mask appends to that of its image, such as ``_mask``.
        bone_suffix: The same for bone masks.
        threshold: Foreground is at least this, 1 to 255 (16-bit masks are scaled to 255 first).
            ``None`` takes 127 and refuses masks that are not black and white with soft edges; a
            given threshold accepts any grey. Use 1 for masks of 0 and 1.
        strict: Refuse masks that hold other values than 0 and 255 (65535 with 16 bits).
        patients: CSV file of ``stem,patient`` lines.
        patient_regex: Regular expression searched in the stem; its first group, or the whole match,
            is the patient.
        image_max: Value of 16-bit images that becomes 255; ``None`` takes 65535.
        progress: Whether to show a progress bar.

    Returns:
        The numbers ``images``, ``patients`` (0 if unknown) and ``largest_16_bit`` (largest value, 0
        without 16-bit images); ``split`` (numbers of train and val images, empty if there are too
        few to split); and for each target ``masks[target]`` with the integers ``pixels``,
        ``foreground``, ``empty`` (masks without foreground), ``soft`` (masks with other values than
        black and white) and ``soft_pixels``.

    Raises:
        FileNotFoundError: If a folder, a file or the partner of an image or mask is absent.
        FileExistsError: If ``out`` is a file, or a folder that is not empty.
        ValueError: If a file cannot be decoded, sizes differ, a mask does not fit the settings, a
            target has no foreground at all, images and patients do not match, or settings
            contradict each other.
    """
    _check_settings(threshold, strict, patients, patient_regex, image_max)
    target_folder = Path(out)
    if target_folder.exists() and (not target_folder.is_dir() or any(target_folder.iterdir())):
        raise FileExistsError(f'{out} exists and is no empty folder: choose another, or move it')
    folders = dict(lesion=(masks, mask_suffix))
    if bone_masks is not None:
        folders['bone'] = (bone_masks, bone_suffix)
    pairs, sources = _list_pairs(images, folders)
    groups = _groups(list(pairs), patients, patient_regex)
    split = _split(list(pairs), groups)
    reader = _MaskReader(threshold, strict)
    largest = 0

    with replacing_folder(target_folder) as work:
        for stem, path in track(pairs.items(), 'bmseg', show=progress):
            image, brightest = _read_8_bit(path, image_max or 65535)
            largest = max(largest, brightest)
            _save_png(work / IMAGES / f'{stem}.png', image)
            for target, files in sources.items():
                mask = reader.read(files[stem], target)
                _check_size(mask, image, files[stem], path)
                _save_png(work / MASKS[target] / f'{stem}.png', mask)
        reader.check_foreground()
        if groups:
            write_groups(work / GROUPS, groups, name='patient')
        write_lists(str(work), split)
        if target_folder.exists():
            target_folder.rmdir()  # fails if somebody put files there
    return dict(
        images=len(pairs),
        patients=len(set(groups.values())),
        largest_16_bit=largest,
        split={name: len(part) for name, part in split.items()},
        masks=reader.counts,
    )


def describe(summary: dict[str, Any], *, image_max: Optional[int] = None) -> list[str]:
    """Describe the result of ``convert_bmseg`` in lines for the terminal."""
    patients = f'{summary["patients"]} patients' if summary['patients'] else 'patients unknown'
    lines = [f'{summary["images"]} images, {patients}']
    for target, count in summary['masks'].items():
        share = 100 * count['foreground'] / count['pixels']
        lines.append(
            f'{MASKS[target]}: background {100 - share:.3f} %, {target} {share:.3f} %; '
            f'{count["empty"]} masks without {target}'
        )
        if count['soft']:
            lines.append(
                f'{MASKS[target]}: {count["soft_pixels"]} pixels '
                f'({100 * count["soft_pixels"] / count["pixels"]:.3f} %) in {count["soft"]} masks '
                'were neither black nor white and went through the threshold'
            )
    unit = 'by patient' if summary['patients'] else 'by image: neighbours may be one patient'
    parts = ', '.join(f'{name}.txt {number}' for name, number in summary['split'].items())
    lines.append(f'{parts} ({unit})' if parts else 'no train.txt and val.txt: too few to split')
    largest = summary['largest_16_bit']
    if image_max is None and 0 < largest < 65535 // _SHORT:
        lines.append(
            f'warning: the brightest 16-bit value is {largest} of 65535, so that the images are '
            f'dark: convert again with --image-max, 4095 for 12 bits'
        )
    return lines


def binary_mask(
    mask: np.ndarray, path: str, *, threshold: Optional[int] = None, strict: bool = False
) -> tuple[np.ndarray, int]:
    """Convert a grey mask to 0 and 1.

    Args:
        mask: Integers ``(H, W)``; values above 255 mean 16 bits.
        path: The file, for messages.
        threshold: As for ``convert_bmseg``.
        strict: As for ``convert_bmseg``.

    Returns:
        The mask, ``(H, W)`` uint8, and the number of pixels that were neither black nor white.

    Raises:
        ValueError: If the mask holds colors or fractions, or values that the settings exclude.
    """
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        kind = 'colors' if mask.ndim == 3 else f'values of type {mask.dtype}'
        raise ValueError(f'{path}: the mask holds {kind}: save it as grey, 8 or 16 bit')
    grey = mask / 257 if mask.max(initial=0) > 255 else mask
    soft = (grey != 0) & (grey != 255)
    binary = grey >= (DEFAULT_THRESHOLD if threshold is None else threshold)
    if strict and soft.any():
        raise ValueError(
            f'{path}: {soft.sum()} pixels have the values {np.unique(mask[soft])[:8].tolist()}, '
            'neither black nor white: leave --strict out to threshold them'
        )
    if threshold is None and grey.any() and not binary.any():
        raise ValueError(
            f'{path}: the values reach up to {mask.max()} only, below the threshold of '
            f'{DEFAULT_THRESHOLD}: give --threshold 1 if they are class ids 0 and 1'
        )
    between = (grey >= _NEAR) & (grey < 256 - _NEAR)
    if threshold is None and between.sum() > _GREY_SHARE * binary.sum():
        raise ValueError(
            f'{path}: {between.sum()} pixels are grey ({_NEAR} to {255 - _NEAR}), too many for the '
            'edges of a black and white mask: give --threshold to say what is foreground, or pair '
            'the right files'
        )
    return binary.astype(np.uint8), int(soft.sum())


class _MaskReader:
    """Reader of masks that also counts their values."""

    def __init__(self, threshold: Optional[int], strict: bool) -> None:
        self.threshold, self.strict = threshold, strict
        self.counts: dict[str, dict[str, int]] = {}

    def read(self, path: str, target: str) -> np.ndarray:
        _check_sums(path)
        mask, soft = binary_mask(
            read_mask(path), path, threshold=self.threshold, strict=self.strict
        )
        names = ('pixels', 'foreground', 'empty', 'soft', 'soft_pixels')
        count = self.counts.setdefault(target, dict.fromkeys(names, 0))
        foreground = int(mask.sum())
        for name, value in zip(names, (mask.size, foreground, not foreground, soft > 0, soft)):
            count[name] += int(value)
        return mask

    def check_foreground(self) -> None:
        for target, count in self.counts.items():
            if not count['foreground']:
                raise ValueError(
                    f'no {target} mask has foreground: all are black, or below the threshold '
                    '(--threshold 1 for masks of 0 and 1)'
                )


def _check_sums(path: str) -> None:
    """Verify the checksums of a PNG file, which decoding ignores; other formats have none."""
    try:
        with Image.open(path) as image:
            image.verify()
    except UnidentifiedImageError:
        return  # reading it reports the error
    except Exception as error:
        raise ValueError(f'{path}: the file is damaged ({error}): replace it') from error


def _check_settings(
    threshold: Optional[int],
    strict: bool,
    patients: Optional[str],
    patient_regex: Optional[str],
    image_max: Optional[int],
) -> None:
    if threshold is not None and not 1 <= threshold <= 255:
        raise ValueError(f'--threshold must lie in 1..255, got {threshold}')
    if threshold is not None and strict:
        raise ValueError('--threshold and --strict contradict each other: give one of them')
    if patients is not None and patient_regex is not None:
        raise ValueError('give --patients or --patient-regex, not both')
    if image_max is not None and not 1 <= image_max <= 65535:
        raise ValueError(f'--image-max must lie in 1..65535, got {image_max}')


def _list_files(folder: str, suffix: str) -> dict[str, str]:
    if not os.path.isdir(folder):
        raise FileNotFoundError(f'{folder}: no such folder')
    return files_by_stem(folder, [f'{suffix}{ending}'.lower() for ending in IMAGE_SUFFIXES])


def _list_pairs(images: str, folders: dict[str, tuple[str, str]]) -> tuple[dict, dict[str, dict]]:
    """Return the images by stem, and for each target its masks by the same stems."""
    sources = {target: _list_files(*place) for target, place in folders.items()}
    # A mask may be among the images.
    taken = {os.path.realpath(path) for files in sources.values() for path in files.values()}
    listed = _list_files(images, '').items()
    pairs = {stem: path for stem, path in listed if os.path.realpath(path) not in taken}
    if not pairs:
        raise ValueError(f'{images}: no image there; looked for {", ".join(IMAGE_SUFFIXES)}')
    for target, files in sources.items():
        _check_partners(pairs, files, images, folders[target][0])
    return pairs, sources


def _check_partners(images: dict, masks: dict, image_folder: str, mask_folder: str) -> None:
    for have, other, kind, folder in (
        (images, masks, 'mask', mask_folder),
        (masks, images, 'image', image_folder),
    ):
        alone = [stem for stem in have if stem not in other]
        if alone:
            others = f' (and {len(alone) - 1} more)' if len(alone) > 1 else ''
            raise FileNotFoundError(
                f'{have[alone[0]]}: no {kind} of this stem in {folder}{others}: add it, remove the '
                'file, or give --mask-suffix (--bone-suffix) if masks are named otherwise'
            )


def _groups(stems: list[str], patients: Optional[str], regex: Optional[str]) -> dict[str, str]:
    if patients is not None:
        return _groups_of_file(stems, patients)
    if regex is None:
        return {}
    try:
        pattern = re.compile(regex)
    except re.error as error:
        raise ValueError(f'--patient-regex {regex!r} is no regular expression: {error}') from error
    matches = {stem: pattern.search(stem) for stem in stems}
    # An empty match names no patient.
    names = {s: (m[1] if pattern.groups else m[0]) for s, m in matches.items() if m}
    return groups_of(
        stems, {s: n for s, n in names.items() if n}, source=f'--patient-regex {regex}'
    )


def _groups_of_file(stems: list[str], path: str) -> dict[str, str]:
    """Read the patient of each image; a stem without an image is an error."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: no such file; --patients takes lines of stem,patient')
    named = read_groups(path)
    groups = groups_of(stems, named, source=path)
    # The first line may hold the names of the columns.
    alone = [stem for line, stem in enumerate(named) if line and stem not in groups]
    if alone:
        others = f' (and {len(alone) - 1} more)' if len(alone) > 1 else ''
        raise ValueError(
            f'{path}: no image of the stem {alone[0]!r}{others}: add the image, or remove the line'
        )
    return groups


def _read_8_bit(path: str, image_max: int) -> tuple[np.ndarray, int]:
    """Return ``(H, W, C)`` uint8 with C 1 or 3, and the largest value if it had 16 bits, else 0."""
    image = read_image(path)
    if image.shape[2] in (2, 4):  # the last channel is alpha
        image = image[..., :-1]
    if image.shape[2] not in (1, 3) or image.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f'{path}: an image of {image.shape[2]} channels of type {image.dtype}: save it as grey '
            'or RGB, 8 or 16 bit'
        )
    if (image == image[..., :1]).all():
        image = image[..., :1]
    if image.dtype == np.uint8:
        return image, 0
    scaled = np.minimum(image * (255.0 / image_max), 255)
    return np.rint(scaled).astype(np.uint8), int(image.max())


def _check_size(mask: np.ndarray, image: np.ndarray, mask_path: str, image_path: str) -> None:
    if mask.shape != image.shape[:2]:
        raise ValueError(
            f'{mask_path}: the mask is {mask.shape[1]}x{mask.shape[0]} pixels (width x height), '
            f'its image {image_path} is {image.shape[1]}x{image.shape[0]}: pair the right files'
        )


def _save_png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode('.png', array)
    if not done:
        raise OSError(f'{path}: OpenCV could not encode the image')
    path.write_bytes(data.tobytes())


def _split(stems: list[str], groups: dict[str, str]) -> dict[str, list[str]]:
    """Split 9:1 by patient if known, else by image; empty for a single patient or image."""
    unit = {stem: groups.get(stem, stem) for stem in stems}
    if len(set(unit.values())) < 2:
        return {}
    train = set(split_ids(sorted(set(unit.values())))[0])
    return dict(
        train=[stem for stem in stems if unit[stem] in train],
        val=[stem for stem in stems if unit[stem] not in train],
    )
