"""The data set ``shapes`` on disk, in VOC's layout, and its dataset class."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import cv2
import numpy as np
from mmseg.registry import DATASETS
from PIL import Image

from ..core.files import read_json, replacing_folder, write_json
from ..core.progress import track
from ..core.words import command, unknown
from .checked import CheckedSegDataset
from .sample_table import SampleTable
from .shapes import draw_image
from .shapes_variants import SHAPES7, SHAPES21, VARIANTS, Variant

MANIFEST = 'shapes.json'
_VAL_EVERY = 5  # the last of every five images is for validation


@DATASETS.register_module()
class ShapesDataset(CheckedSegDataset):
    """The variant ``shapes21`` of the data set ``shapes``: 20 classes and the background.

    Args:
        ann_file: File of image ids, one per line.
        kwargs: As for ``CheckedSegDataset``.

    Raises:
        ValueError: If the folder holds another variant, or does not say which one.
    """

    VARIANT = SHAPES21
    METAINFO = VARIANT.metainfo

    def __init__(self, ann_file: str, **kwargs: Any) -> None:
        kwargs.setdefault('how_to_get', f'make it: {_command(self.VARIANT)}')
        super().__init__(ann_file=ann_file, **kwargs)

    def load_data_list(self) -> SampleTable:
        """List the samples of a folder that holds this variant."""
        self._check_folders()
        _check_variant(Path(self.data_root), self.VARIANT)
        return super().load_data_list()


@DATASETS.register_module()
class Shapes7Dataset(ShapesDataset):
    """The variant ``shapes7`` of the data set ``shapes``: 6 classes and the background."""

    VARIANT = SHAPES7
    METAINFO = VARIANT.metainfo


def write_shapes(
    out: str,
    *,
    variant: str = SHAPES21.name,
    num: int = 300,
    size: int = 160,
    seed: int = 0,
    progress: bool = True,
) -> bool:
    """Write the data set, unless the same one is there already.

    The folder gets its name only when it is complete. One of the same variant with another number,
    size or seed is replaced, and so is a damaged one.

    Args:
        out: The folder to create.
        variant: Its classes, a name of ``shapes_variants.VARIANTS``.
        num: Number of images, at least 5; every fifth is for validation.
        size: Height and width in pixels, at least 32.
        seed: Random seed of all images.
        progress: Whether to show a progress bar.

    Returns:
        True if it was written, False if the folder was complete already.

    Raises:
        ValueError: If an argument is too small, or there is no such variant.
        FileExistsError: If the folder holds anything but this variant.
    """
    if num < _VAL_EVERY or size < 32:
        raise ValueError(
            f'shapes needs num >= {_VAL_EVERY} and size >= 32, got num={num}, size={size}'
        )
    target, drawn = Path(out), _variant(variant)
    wanted = dict(
        variant=variant, num=num, size=size, seed=seed, drawing=_drawing(drawn, size, seed)
    )
    found = _read_manifest(target)
    if found is None and target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(
            f'{target} exists and was not made by make_shapes: move it away, or '
            'choose another folder with --out'
        )
    if found is not None and found['variant'] != variant:
        raise FileExistsError(
            f'{target} holds the variant {found["variant"]!r} of shapes, not {variant!r}: choose '
            'another folder with --out, or move it away'
        )
    if found is not None and _is_complete(target, found, wanted):
        return False
    with replacing_folder(target) as work:
        _write_images(work, drawn, num, size, seed, progress)
        write_json(work / MANIFEST, dict(wanted, sha256=checksum(work)))
    return True


def variant_of(root: Path) -> Variant:
    """Return the variant that a folder holds.

    Raises:
        ValueError: If the folder does not say so, or names a variant that is not known here.
    """
    found = _read_manifest(root)
    if found is None:
        raise ValueError(
            f'{root / MANIFEST}: no readable file of make_shapes, so nothing says which classes '
            'its masks have; make the folder again with make_shapes'
        )
    return _variant(found['variant'], source=f'{root / MANIFEST}: ')


def checksum(root: Path) -> str:
    """Hash names and contents of all files except the manifest, in sorted order."""
    digest = hashlib.sha256()
    for path in sorted(Path(root).rglob('*')):
        if path.is_file() and path.name != MANIFEST:
            digest.update(path.relative_to(root).as_posix().encode() + b'\0')
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _variant(name: object, source: str = '') -> Variant:
    if not isinstance(name, str) or name not in VARIANTS:
        raise ValueError(f'{source}{unknown("variant of shapes", name, VARIANTS)}')
    return VARIANTS[name]


def _command(variant: Variant) -> str:
    folder = 'data/shapes' if variant == SHAPES21 else f'data/{variant.name}'
    return f'{command("make_shapes")} --variant {variant.name} --out {folder}'


def _check_variant(root: Path, wanted: Variant) -> None:
    found = variant_of(root)
    if found != wanted:
        raise ValueError(
            f'{root} holds the variant {found.name!r} of shapes with {len(found.classes)} '
            f'classes, and the config asks for {wanted.name!r} with {len(wanted.classes)}: make '
            f'it ({_command(wanted)}) and set data_root to it, or take a config of {found.name!r}'
        )


def _drawing(variant: Variant, size: int, seed: int) -> str:
    """Return a hash of the drawing, so that a folder of an older version is written again."""
    digest = hashlib.sha256()
    for index in range(2):
        for array in draw_image(index, size=size, seed=seed, variant=variant):
            digest.update(array.tobytes())
    return digest.hexdigest()


def _read_manifest(target: Path) -> Optional[dict]:
    try:
        manifest = read_json(target / MANIFEST)
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or 'drawing' not in manifest:
        return None
    return {'variant': SHAPES21.name, **manifest}  # older files name none


def _is_complete(target: Path, found: dict, wanted: dict) -> bool:
    same = all(found.get(key) == value for key, value in wanted.items())
    return same and found.get('sha256') == checksum(target)


def _write_images(
    root: Path, variant: Variant, num: int, size: int, seed: int, progress: bool
) -> None:
    images, masks = root / 'JPEGImages', root / 'SegmentationClass'
    lists = root / 'ImageSets' / 'Segmentation'
    for folder in (images, masks, lists):
        folder.mkdir(parents=True)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(variant.classes)] = variant.palette
    palette[255] = (224, 224, 192)  # VOC's color of borders
    for index in track(range(num), 'shapes', show=progress):
        image, label = draw_image(index, size=size, seed=seed, variant=variant)
        name = _name(index)
        _save_jpeg(images / f'{name}.jpg', image)
        mask = Image.fromarray(label)
        mask.putpalette(palette.tobytes())
        mask.save(masks / f'{name}.png')
    for split in ('train', 'val'):
        (lists / f'{split}.txt').write_text(''.join(f'{name}\n' for name in _ids(split, num)))


def _save_jpeg(path: Path, image: np.ndarray) -> None:
    done, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    if not done:
        raise OSError(f'{path}: OpenCV could not encode the image')
    path.write_bytes(data.tobytes())


def _name(index: int) -> str:
    return f'shapes_{index:06d}'


def _ids(split: str, num: int) -> Iterator[str]:
    for index in range(num):
        if (index % _VAL_EVERY == _VAL_EVERY - 1) == (split == 'val'):
            yield _name(index)
