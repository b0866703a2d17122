"""The same test images through every row of a table: what to predict, what to show.

Images are chosen by their place in the data set, never by a result. Shape letters: H row, W column.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ...core.files import PathLike
from ...core.labels import IGNORE, evenly
from ...core.masks import read_mask
from ..draw.blocks import Color, Picture
from ..draw.pixels import (
    WRONG,
    colorize,
    encode,
    encode_flat,
    error_picture,
    read_rgb,
    shrink,
)
from ..run.folder import RunFolder
from ..run.outcome.examples import load_truth, test_dataset
from ..run.outcome.listing import read_predictions
from .gather import RowData
from .runs import RunFiles

NUM_IMAGES = 6


@dataclass
class SharedExample:
    """One test image with the prediction of every row that has one.

    Args:
        name: Stem of the file.
        image: ``(H, W, 3)`` uint8 RGB.
        truth: ``(H, W)`` labels, 255 where ignored; ``None`` if they were not found.
        labels: Row's place in the table to its prediction ``(H, W)``.
    """

    name: str
    image: np.ndarray
    truth: Optional[np.ndarray]
    labels: dict[int, np.ndarray]


def example_images(work_dir: PathLike, count: int = NUM_IMAGES) -> list[Path]:
    """Choose test images of a run at equal distances in its data set.

    Raises:
        FileNotFoundError: If the run was not tested, or its data are not there.
        ValueError: If the work folder holds no config.
    """
    folder = RunFolder(work_dir)
    cfg = folder.tested_config(folder.results().config)
    if cfg is None:
        raise ValueError(f'{work_dir} holds no config: its test images are unknown')
    dataset = test_dataset(cfg)
    places = evenly(range(len(dataset)), count)
    return [Path(dataset.get_data_info(place)['img_path']) for place in places]


def ensure_predictions(work_dir: PathLike, images: Sequence[Path]) -> int:
    """Predict images with a run's tested checkpoint into its ``predictions``, if any is absent.

    Args:
        work_dir: Folder of a tested run.
        images: From :func:`example_images`; already predicted ones stay where they are listed.

    Returns:
        How many were predicted now.

    Raises:
        FileNotFoundError: If the run was not tested, or its checkpoint is gone.
        ValueError: If the work folder holds no config, or the checkpoint is of another model.
    """
    folder = RunFolder(work_dir)
    listed = set(predicted_masks(folder)[0])
    absent = [path for path in images if str(path.absolute()) not in listed]
    if absent:
        from ..predict.output import predict_to_folder
        from ..run.load import load_tested

        model, checkpoint = load_tested(work_dir)
        known = [Path(path) for path in listed if Path(path).is_file()]
        source = dict(config=folder.results().config, checkpoint=str(checkpoint))
        predict_to_folder(model, [*known, *absent], folder.predictions, source=source)
    return len(absent)


def predicted_masks(folder: RunFolder) -> tuple[dict[str, Path], dict[str, Any]]:
    """Image to mask of a run's predictions, and the whole list; both empty without any."""
    path = folder.listing_file
    if not path.is_file():
        return {}, {}
    content = read_predictions(path)
    return {entry['image']: path.parent / entry['mask'] for entry in content['images']}, content


def shared_examples(
    rows: Sequence[RowData], count: int = NUM_IMAGES
) -> tuple[list[SharedExample], list[list[int]]]:
    """Read the images that every row with predictions has predicted.

    Args:
        rows: All rows of the table; predictions of a row are those of its first replica.
        count: At most so many, at equal distances in what is shared.

    Returns:
        The examples and the palette; both empty if no image is shared.
    """
    masks: dict[int, dict[str, Path]] = {}
    palette: list[list[int]] = []
    for place, row in enumerate(rows):
        found: dict[str, Path] = {}
        for run in row.replicas[0] if row.replicas else ():
            listed, content = predicted_masks(RunFolder(run.folder))
            found.update(listed)
            palette = palette or content.get('palette', [])
        if found:
            masks[place] = found
    if not masks:
        return [], []
    first, *others = masks.values()
    shared = [name for name in first
              if all(name in other for other in others) and Path(name).is_file()]  # fmt: skip
    chosen = evenly(shared, count)
    truths = _truths(rows[next(iter(masks))].replicas[0], chosen)
    examples = [_example(name, truths.get(name), masks) for name in chosen]
    return [example for example in examples if example.labels], palette


def _truths(runs: Sequence[RunFiles], images: Sequence[str]) -> dict[str, np.ndarray]:
    truths: dict[str, np.ndarray] = {}
    for run in runs:
        try:
            truths.update(load_truth(run.cfg, images) if run.cfg is not None else {})
        except (OSError, ValueError):  # the data have moved: the predictions are shown still
            continue
    return truths


def _example(
    name: str, truth: Optional[np.ndarray], masks: dict[int, dict[str, Path]]
) -> SharedExample:
    image = read_rgb(name)
    labels = {place: read_mask(str(found[name])) for place, found in masks.items()}
    labels = {place: label for place, label in labels.items() if label.shape == image.shape[:2]}
    return SharedExample(Path(name).stem, image, truth, labels)


def share_right(label: np.ndarray, truth: np.ndarray) -> Optional[float]:
    """Share of the labelled pixels that are right; ``None`` without any."""
    counted = truth != IGNORE
    return float((label == truth)[counted].mean()) if counted.any() else None


def photo(image: np.ndarray, width: int, *, alt: str) -> Picture:
    """The image itself."""
    content = encode(shrink(image, width, smooth=True), file_format='JPEG', quality=80)
    return Picture(content, 'jpeg', alt, 'photo')


def labels(
    label: np.ndarray, palette: Sequence[Color], width: int, *, alt: str, clear: Optional[int]
) -> Picture:
    """A label map in the colors of its classes, which may be laid over the photograph.

    Args:
        label: ``(H, W)``.
        palette: Color of each class.
        width: In pixels, at most.
        alt: What it is.
        clear: Class whose pixels are left out and stand as the ground, such as a background.
    """
    small = shrink(label.astype(np.int32), width, smooth=False)
    content = encode_flat(colorize(small, palette), None if clear is None else small == clear)
    return Picture(content, 'png', alt, 'labels', None if clear is None else palette[clear])


def errors(example: SharedExample, place: int, width: int, *, alt: str) -> Picture:
    """A row's wrong pixels, red on a faded image."""
    assert example.truth is not None
    shown = error_picture(example.image, example.labels[place], example.truth)
    return Picture(encode_errors(shrink(shown, width, smooth=False)), 'png', alt)


def encode_errors(shown: np.ndarray) -> bytes:
    """Encode grey and red with 32 greys: a third of the size of the full PNG."""
    greys = shown // 8 * 8 + 4
    wrong = (shown == WRONG).all(axis=-1)
    greys[wrong] = WRONG
    return encode_flat(greys)
