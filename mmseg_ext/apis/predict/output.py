"""Output files of predictions: masks, overlays, probabilities, the listing of images, areas."""

import errno
import io
import os
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import torch

from ...core.beside import Beside
from ...core.files import PathLike, output_names, sweep_outputs, write_bytes, write_json
from ...core.labels import background_of
from ...core.progress import Line
from ..draw.pixels import encode, overlay
from ..run.outcome.listing import FOLDERS, LISTING
from .areas import AREAS, area_of, count_pixels, write_areas
from .geotiff import tags_of
from .large import LargeImage
from .large_output import write_large
from .mask_file import encode_mask
from .memory import device_of
from .predictor import Failure, Prediction, failed, predict_each
from .refinement import Setting
from .video import is_video, video_to_folder

_LEVEL = 1  # of the compression of pictures: higher ones cost more time than many networks
_BESIDE = 1 << 26  # bytes; larger predictions are written before the next one is made
_MOST_THREADS = 4  # that write; each holds a prediction
_EVERY_S = 5.0  # interval in seconds at which the listing is written
# Errors of the file system about one file name; others, such as a full disk, stop all images.
_OF_ONE_NAME = (
    errno.ENAMETOOLONG,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EINVAL,
    errno.EILSEQ,
)


def write_prediction(
    prediction: Prediction, out: PathLike, name: PathLike, *, meta: dict
) -> dict[str, Any]:
    """Write index mask, overlay and, if given, probabilities and maps of uncertainty.

    Pictures of maps are black at 0 and white at the maximum in this image, which the listing
    records. The file beside it has the values. The mask of a GeoTIFF is a GeoTIFF.

    Args:
        prediction: What to write.
        out: Folder, in which files go to ``masks``, ``overlays`` and ``prob``.
        name: Path of the output below these folders, without suffix.
        meta: ``classes`` and ``palette``.

    Returns:
        The paths below ``out`` by kind; ``image``, the absolute path of the image; and the areas,
        see :func:`.areas.area_of`.
    """
    out, classes, palette = Path(out), meta['classes'], meta['palette']
    label, tags = prediction.label, tags_of(prediction.path)
    suffix, content = encode_mask(label, palette, tags)
    entry: dict[str, Any] = dict(
        image=str(prediction.path.absolute()),
        mask=f'masks/{name}{suffix}',
        overlay=f'overlays/{name}.png',
    )
    write_bytes(out / entry['mask'], content)
    clear = background_of(classes)
    painted = overlay(prediction.picture, label, palette, clear=clear)
    write_bytes(out / entry['overlay'], encode(painted, level=_LEVEL))
    entry.update(area_of(count_pixels(label, len(classes)), tags))
    if prediction.prob is not None:
        entry['prob'] = f'prob/{name}.npz'
        buffer = io.BytesIO()
        np.savez_compressed(buffer, prob=prediction.prob, classes=np.array(classes))
        write_bytes(out / entry['prob'], buffer.getvalue())
    for kind, values in prediction.maps.items():
        entry.update(_write_map(kind, values, out, name))
    return entry


def _write_map(kind: str, values: np.ndarray, out: Path, name: PathLike) -> dict[str, Any]:
    highest = float(values.max(initial=0))
    grey = np.round(255 * values / (highest or 1)).astype(np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{kind: values})  # type: ignore[arg-type]
    file = f'{kind}/{name}.npz'
    write_bytes(out / file, buffer.getvalue())
    write_bytes(out / f'{kind}/{name}.png', encode(np.repeat(grey[..., None], 3, 2), level=_LEVEL))
    return {kind: file, f'highest_{kind}': highest}


def predict_to_folder(
    model: Any,
    images: Sequence[Path],
    out: PathLike,
    *,
    prob: bool = False,
    batch: int = 1,
    crf: Optional[Setting] = None,
    frame_masks: bool = False,
    source: Optional[dict] = None,
) -> list[Failure]:
    """Predict files into a folder with a line of progress, and list them in ``predictions.json``.

    The list shows which images are done and which failed, even if the run is stopped.

    Example::

        failures = apis.predict_to_folder(model, [Path('photo.jpg')], 'predictions')

    Args:
        model: From :func:`load_model`.
        images: From :func:`find_images`; videos among them follow on the images.
        out: Folder for masks, overlays, probabilities and the list.
        prob: Also write probabilities.
        batch: How many images of one size go through the network together.
        crf: Arguments of a ``DenseCRF`` that refines each image.
        frame_masks: Also write the mask of each frame of a video.
        source: Information to store in the list, such as config and checkpoint.

    Returns:
        The files that failed; all others are written.

    Raises:
        FileExistsError: If a file would be replaced that no earlier call wrote.
        OSError: If the disk is full or the folder cannot be written.
    """
    about = dict(source or {}, **model.dataset_meta, **(dict(crf=crf) if crf else {}))
    names = dict(zip(images, output_names(images)))
    videos = [path for path in images if is_video(path)]
    pictures = [path for path in images if path not in set(videos)]
    _refuse_to_replace(Path(out), names)
    _sweep(Path(out), names.values())
    with _Listing(Path(out), about) as listing:
        results = predict_each(model, pictures, keep_prob=prob, batch=batch, crf=crf)
        _write_images(model, zip(pictures, results), len(pictures), names, out, listing)
        for path in videos:
            listing.add(
                video_to_folder(
                    model, path, out, names[path], masks=frame_masks, batch=batch, crf=crf
                )
            )
    return listing.failures


def _refuse_to_replace(out: Path, names: dict[Path, Path]) -> None:
    """Refuse to write over masks and pictures that no earlier call wrote, such as a user's labels.

    Raises:
        FileExistsError: If one would be replaced.
    """
    if (out / LISTING).is_file():
        return
    for kind, suffixes in (('masks', ('.png', '.tif')), ('overlays', ('.png', '.mp4'))):
        present = {str(path) for path in (out / kind).rglob('*')} if (out / kind).is_dir() else ()
        for name in names.values():
            for path in (f'{out / kind / name}{suffix}' for suffix in suffixes):
                if path in present:
                    raise FileExistsError(
                        f'{path} is there already, and no earlier prediction listed in '
                        f'{out / LISTING} wrote it: give another --out'
                    )


def _sweep(out: Path, names: Iterable[Path]) -> None:
    """Remove what a call that was killed left unfinished of the outputs of this one."""
    own = [out / kind / name for name in names for kind in FOLDERS]
    sweep_outputs([*own, out / LISTING, out / AREAS])


def _write_images(
    model: Any,
    results: Iterable[tuple[Path, Any]],
    total: int,
    names: dict[Path, Path],
    out: PathLike,
    listing: '_Listing',
) -> None:
    with (
        Line('predict', total, elsewhere=True, show=total > 0) as line,
        Beside('write', _idle_cores(model)) as beside,
    ):
        for path, result in results:
            write = partial(_written, result, out, names[path], model.dataset_meta)
            if _goes_beside(result):
                beside.do(write, then=listing.add)
            else:
                beside.wait()
                listing.add(write())
            line.step(note=listing.note)
        beside.wait()
        line.step(0, note=listing.note)


def _idle_cores(model: Any) -> int:
    """Count the cores that predicting leaves to writing: at least 1, at most some."""
    busy = torch.get_num_threads() if device_of(model).type == 'cpu' else 1
    return max(1, min(_MOST_THREADS, (os.cpu_count() or 1) - busy))


def _goes_beside(result: Union[Prediction, LargeImage, Failure]) -> bool:
    """Whether the next image may be predicted while this one is written."""
    if not isinstance(result, Prediction):
        return isinstance(result, Failure)  # of a large image, predictions are made and written
    arrays = (result.picture, result.label, result.prob, *result.maps.values())
    return sum(array.nbytes for array in arrays if array is not None) <= _BESIDE


def _written(
    result: Union[Prediction, LargeImage, Failure], out: PathLike, name: Path, meta: dict
) -> Union[dict, Failure]:
    """Write a prediction; return a failure if its name is not a valid file name."""
    if isinstance(result, Failure):
        return result
    try:
        if isinstance(result, LargeImage):
            return _written_in_strips(result, out, name, meta)
        return write_prediction(result, out, name, meta=meta)
    except OSError as error:
        if error.errno not in _OF_ONE_NAME:
            raise
        path = result.path
        return Failure(path, f'{path} cannot be written below {out}: {error.strerror}')


def _written_in_strips(
    large: LargeImage, out: PathLike, name: Path, meta: dict
) -> Union[dict, Failure]:
    """Predict and write a large image, with a line of progress of its own."""
    with Line(large.path.name, large.num_windows, unit='windows', elsewhere=True) as line:
        try:
            return write_large(
                large, out, name, meta=meta, step=lambda count: line.step(count - line.done)
            )
        except OSError:
            raise
        except Exception as error:  # damaged, out of memory, or NaN
            return failed(large.path, large.size, error)


class _Listing:
    """``predictions.json``, written at the start, every few seconds, and at the end of a run.

    ``areas.csv`` is written at the end.
    """

    def __init__(self, out: Path, about: dict) -> None:
        self.path, self.about = out / LISTING, about
        self.entries: list[dict] = []
        self.videos: list[dict] = []
        self.failures: list[Failure] = []
        self._written = 0.0

    def __enter__(self) -> '_Listing':
        self._write()
        return self

    def __exit__(self, *_: Any) -> None:
        self._write()
        write_areas(self.path.with_name(AREAS), self.entries, self.about['classes'])

    @property
    def note(self) -> Optional[str]:
        """How many failed, for the line of progress."""
        return f'{len(self.failures)} failed' if self.failures else None

    def add(self, result: Union[dict, Failure]) -> None:
        """Add the files of an image or a video, or the reason of its failure."""
        if isinstance(result, Failure):
            self.failures.append(result)
        elif 'video' in result:
            self.videos.append(result)
        else:
            self.entries.append(result)
        if time.monotonic() - self._written > _EVERY_S:
            self._write()

    def _write(self) -> None:
        failed = [
            dict(image=str(failure.path.absolute()), reason=failure.reason)
            for failure in self.failures
        ]
        videos = dict(videos=self.videos) if self.videos else {}
        write_json(self.path, dict(self.about, images=self.entries, **videos, failed=failed))
        self._written = time.monotonic()
