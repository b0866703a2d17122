"""Example images of a page: the same test images, predicted by every row.

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
from ..run.outcome.listing import LISTING, read_predictions
from .gather import RowData
from .runs import RunFiles

NUM_IMAGES = 6


@dataclass
class SharedExample:
    """One test image with the prediction of every row that has one.

    Args:
        name: File name without its suffix.
        image: ``(H, W, 3)`` uint8 RGB.
        truth: Ground truth ``(H, W)``, 255 where ignored; ``None`` if it was not found.
        labels: Prediction ``(H, W)`` of each row, by the row's place in the table.
    """

    name: str
    image: np.ndarray
    truth: Optional[np.ndarray]
    labels: dict[int, np.ndarray]


def example_images(work_dir: PathLike, count: int = NUM_IMAGES) -> list[Path]:
    """Choose evenly spaced test images of a run.

    Raises:
        FileNotFoundError: If the run was not tested, or its data are missing.
        ValueError: If the work folder holds no config.
    """
    folder = RunFolder(work_dir)
    cfg = folder.tested_config(folder.results().config)
    if cfg is None:
        raise ValueError(f'{work_dir} holds no config: its test images are unknown')
    dataset = test_dataset(cfg)
    places = evenly(range(len(dataset)), count)
    return [Path(dataset.get_data_info(place)['img_path']) for place in places]


def ensure_predictions(
    work_dir: PathLike, images: Sequence[Path], out: Optional[Path] = None
) -> int:
    """Predict images with a run's tested checkpoint into its folder ``predictions``.

    Nothing is done if all images were predicted before.

    Args:
        work_dir: Folder of a tested run.
        images: From :func:`example_images`. Other images of the folder stay listed.
        out: Folder to use instead.

    Returns:
        How many of the images had no prediction yet.

    Raises:
        FileNotFoundError: If the run was not tested, or its checkpoint is missing.
        ValueError: If the work folder holds no config, or the checkpoint is of another model.
    """
    folder = RunFolder(work_dir)
    out = out or folder.predictions
    listed = set(predicted_masks(out)[0])
    absent = [path for path in images if str(path.absolute()) not in listed]
    if absent:
        from ..predict.output import predict_to_folder
        from ..run.load import load_tested

        model, checkpoint = load_tested(work_dir)
        known = [Path(path) for path in listed if Path(path).is_file()]
        source = dict(config=folder.results().config, checkpoint=str(checkpoint))
        predict_to_folder(model, [*known, *absent], out, source=source)
    return len(absent)


def predicted_masks(predictions: Path) -> tuple[dict[str, Path], dict[str, Any]]:
    """Return the mask file of each predicted image, and the content of ``predictions.json``.

    Both are empty if the folder has no predictions.
    """
    path = predictions / LISTING
    if not path.is_file():
        return {}, {}
    content = read_predictions(path)
    return {entry['image']: path.parent / entry['mask'] for entry in content['images']}, content


def shared_examples(
    rows: Sequence[RowData], count: int = NUM_IMAGES
) -> tuple[list[SharedExample], list[list[int]]]:
    """Read the images that all rows with predictions have in common.

    Args:
        rows: All rows of the table. The predictions of a row are those of its first replica.
        count: Largest number of examples, evenly spaced among the common images.

    Returns:
        The examples and the palette. Both are empty if no row has predictions.
    """
    masks: dict[int, dict[str, Path]] = {}
    palette: list[list[int]] = []
    for place, row in enumerate(rows):
        found: dict[str, Path] = {}
        for run in row.replicas[0] if row.replicas else ():
            listed, content = predicted_masks(RunFolder(run.folder).predictions)
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
    examples = [shared_example(name, truths.get(name), masks) for name in chosen]
    return [example for example in examples if example.labels], palette


def _truths(runs: Sequence[RunFiles], images: Sequence[str]) -> dict[str, np.ndarray]:
    truths: dict[str, np.ndarray] = {}
    for run in runs:
        try:
            truths.update(load_truth(run.cfg, images) if run.cfg is not None else {})
        except (OSError, ValueError):  # the data have moved: show the predictions alone
            continue
    return truths


def shared_example(
    name: str, truth: Optional[np.ndarray], masks: dict[int, dict[str, Path]]
) -> SharedExample:
    """Read an image and its predictions.

    Args:
        name: File of the image.
        truth: Its label map, if it was found.
        masks: Mask file of each image, by the row's place.
    """
    image = read_rgb(name)
    labels = {place: read_mask(str(found[name])) for place, found in masks.items()}
    labels = {place: label for place, label in labels.items() if label.shape == image.shape[:2]}
    return SharedExample(Path(name).stem, image, truth, labels)


def share_right(label: np.ndarray, truth: np.ndarray) -> Optional[float]:
    """Return the share of the labelled pixels that are right; ``None`` if no pixel is labelled."""
    counted = truth != IGNORE
    return float((label == truth)[counted].mean()) if counted.any() else None


def photo(image: np.ndarray, width: int, *, alt: str) -> Picture:
    """Make a picture of the image itself."""
    content = encode(shrink(image, width, smooth=True), file_format='JPEG', quality=80)
    return Picture(content, 'jpeg', alt, 'photo')


def labels(
    label: np.ndarray, palette: Sequence[Color], width: int, *, alt: str, clear: Optional[int]
) -> Picture:
    """Make a picture of a label map in the colors of its classes.

    The page can lay this picture over the photograph.

    Args:
        label: Label map, ``(H, W)``.
        palette: Color of each class.
        width: Largest width in pixels.
        alt: Alternative text.
        clear: Class whose pixels are transparent, such as the background. Its color is the ground
            behind the picture.
    """
    small = shrink(label.astype(np.int32), width, smooth=False)
    content = encode_flat(colorize(small, palette), None if clear is None else small == clear)
    return Picture(content, 'png', alt, 'labels', None if clear is None else palette[clear])


def errors(example: SharedExample, place: int, width: int, *, alt: str) -> Picture:
    """Make a picture of a row's wrong pixels, red on a faded image."""
    assert example.truth is not None
    shown = error_picture(example.image, example.labels[place], example.truth)
    return Picture(encode_errors(shrink(shown, width, smooth=False)), 'png', alt)


def encode_errors(shown: np.ndarray) -> bytes:
    """Encode a picture of grey and red with 32 greys, which takes a third of the full PNG."""
    greys = shown // 8 * 8 + 4
    wrong = (shown == WRONG).all(axis=-1)
    greys[wrong] = WRONG
    return encode_flat(greys)
