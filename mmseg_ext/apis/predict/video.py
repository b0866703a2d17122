"""Predict videos frame by frame, in flat memory: overlay video, areas, and index masks on request.

Frames are decoded once before, so that a damaged video is refused before it is predicted, and the
remaining time is known. Outputs appear under their names when they are complete. Sound is left out.
Shape letters: K class, H row, W column.
"""

import contextlib
import csv
import errno
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

import cv2
import numpy as np
from mmengine.logging import print_log

from ...core.beside import Beside
from ...core.files import PathLike, replacing, replacing_folder
from ...core.headers import peek_header
from ...core.labels import background_of
from ...core.progress import track
from ...env import first_line
from ..draw.pixels import overlay
from .found import SUFFIXES
from .mask_file import encode_mask
from .predictor import Failure, Prediction, predict

VIDEOS = (
    '.avi', '.flv', '.m4v', '.mkv', '.mov', '.mp4',
    '.mpeg', '.mpg', '.mts', '.ogv', '.webm', '.wmv',
)  # fmt: skip
_UNEVEN = 0.5  # of a frame's time; less is rounding
_CODEC = 'mp4v'  # the encoder that every build of OpenCV has
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')  # quiet: what is wrong is said here
_HEAD = ('frame', 'seconds', 'class', 'pixels', 'share')


@dataclass(frozen=True)
class Video:
    """A video that can be read to its end.

    Args:
        path: The file.
        frames: Number of its frames.
        rate: Frames in a second, on average.
        times: Seconds at which frames are shown, if they do not follow from the rate.
    """

    path: Path
    frames: int
    rate: float
    times: tuple[float, ...] = ()

    def seconds(self, number: int) -> float:
        """Seconds at which a frame is shown."""
        return self.times[number] if self.times else number / self.rate

    def pictures(self) -> Iterator[np.ndarray]:
        """Read the frames, ``(H, W, 3)`` uint8 RGB, one after the other."""
        with _opened(self.path) as capture:
            for _ in range(self.frames):
                found, bgr = capture.read()
                if not found:
                    raise ValueError(f'{self.path} changed while it was read')
                yield bgr[..., ::-1]


def is_video(path: Path) -> bool:
    """Tell whether a file is a video: by its ending, or, of an unknown one, by its content."""
    suffix = path.suffix.lower()
    if suffix in VIDEOS:
        return True
    if suffix == '.gif':  # an animation, or an image
        with contextlib.suppress(Exception):  # decoders raise many types; who reads it tells
            return peek_header(path).pages > 1
    if suffix in SUFFIXES or not path.is_file():
        return False
    with contextlib.suppress(ValueError), _opened(path) as capture:
        return capture.get(cv2.CAP_PROP_FRAME_COUNT) > 1
    return False


def open_video(path: PathLike) -> Video:
    """Decode a video to its end, which counts its frames.

    Raises:
        ValueError: If it cannot be opened, has no frame, or ends before its last one.
    """
    path, times = Path(path), []
    with _opened(path) as capture:
        rate, told = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        while capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    frames = len(times)
    if not frames:
        raise ValueError(f'{path} has no frame that can be decoded')
    if told - frames > max(1.0, 0.02 * told):  # some formats only tell the length in seconds
        raise ValueError(
            f'{path} is damaged: {frames} of its {told:.0f} frames can be decoded; save those with '
            f'"ffmpeg -i {path.name} repaired.mp4"'
        )
    if not 0 < rate < 1000:
        raise ValueError(f'{path} does not say how many frames a second has')
    return Video(path, frames, rate, tuple(times) if _are_uneven(times) else ())


def _are_uneven(times: Sequence[float]) -> bool:
    """Tell whether frames are shown for unequal times, as phones record them."""
    gaps = np.diff(times)
    known = gaps.size > 0 and gaps.min() > 0  # some formats tell no times
    return bool(known and gaps.max() - gaps.min() > _UNEVEN * np.median(gaps))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise ValueError(f'{path} cannot be read as a video: replace the file')
        yield capture
    finally:
        capture.release()


def predict_video(
    model: Any,
    video: Video,
    out: PathLike,
    name: PathLike,
    *,
    masks: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Predict a video, with a line of progress.

    Args:
        model: From ``load_model``.
        video: From :func:`open_video`.
        out: Folder; files go to ``overlays``, ``areas`` and ``masks`` in it.
        name: Path of the output below these folders, without suffix.
        masks: Also write an index mask for each frame, a folder for each video.
        options: ``batch`` and ``crf`` of :func:`.predictor.predict_each`.

    Returns:
        The entry of the listing: ``video``, the paths below ``out`` by kind, ``frames`` and
        ``frame_rate``.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
        ValueError: If a frame cannot be predicted; nothing is left of the video then.
    """
    out, meta = Path(out), model.dataset_meta
    entry: dict[str, Any] = dict(
        video=str(video.path.absolute()),
        overlay=f'overlays/{name}.mp4',
        areas=f'areas/{name}.csv',
        frames=video.frames,
        frame_rate=video.rate,
    )
    if masks:
        entry['masks'] = f'masks/{name}'
    if video.times:
        print_log(
            f'{video.path} shows its frames at uneven times: {entry["areas"]} has these, and '
            f'{entry["overlay"]} shows them evenly',
            'current',
            logging.WARNING,
        )
    results = predict(model, video.pictures(), **options)
    with ExitStack() as stack:
        painter = stack.enter_context(_Painter(out / entry['overlay'], video.rate, meta))
        table = stack.enter_context(_Table(out / entry['areas'], video))
        folder = stack.enter_context(replacing_folder(out / entry['masks'])) if masks else None
        beside = stack.enter_context(Beside('write'))

        def write(number: int, result: Prediction) -> None:
            painter.write(result)
            table.write(number, result)
            if folder is not None:
                path = folder / f'{number:06d}.png'
                path.write_bytes(encode_mask(result.label, meta['palette'])[1])

        frames = track(results, video.path.name, total=video.frames, unit='frames')
        for number, result in enumerate(frames):
            if isinstance(result, Failure):
                raise ValueError(f'frame {number} of {video.path}: {result.reason}')
            beside.do(write, number, result)
    return entry


class _Painter:
    """The overlay video, which appears when it is complete."""

    def __init__(self, path: Path, rate: float, meta: dict) -> None:
        self.path, self.rate, self.palette = path, rate, meta['palette']
        self.clear = background_of(meta['classes'])
        self.writer: Optional[cv2.VideoWriter] = None
        self.frames = 0
        self._stack = ExitStack()

    def __enter__(self) -> '_Painter':
        unfinished = self._stack.enter_context(replacing(self.path))
        # OpenCV knows the container by the ending
        self.file = unfinished.with_name(f'{unfinished.name}{self.path.suffix}')
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> Optional[bool]:
        if self.writer is not None:
            self.writer.release()
        if error is None:
            self._check()
            self.file.replace(self.file.with_suffix(''))
        else:
            self.file.unlink(missing_ok=True)
        return self._stack.__exit__(kind, error, trace)

    def _check(self) -> None:
        """OpenCV says nothing of a disk that is full: count what was written."""
        with contextlib.suppress(ValueError), _opened(self.file) as capture:
            if capture.get(cv2.CAP_PROP_FRAME_COUNT) == self.frames:
                return
        self.file.unlink(missing_ok=True)
        raise OSError(errno.ENOSPC, 'not all frames could be written', str(self.path))

    def write(self, result: Prediction) -> None:
        """Paint and add a frame."""
        self.frames += 1
        painted = overlay(result.picture, result.label, self.palette, clear=self.clear)
        height, width = painted.shape[:2]
        # encoders take even sizes only, and OpenCV would cut the last row or column off
        even = np.pad(painted, ((0, height % 2), (0, width % 2), (0, 0)), 'edge')
        if self.writer is None:
            self.writer = cv2.VideoWriter(
                str(self.file), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*_CODEC), self.rate,
                (even.shape[1], even.shape[0]))  # fmt: skip
            if not self.writer.isOpened():
                raise OSError(f'{self.path} cannot be written: OpenCV has no encoder {_CODEC}')
        self.writer.write(np.ascontiguousarray(even[..., ::-1]))


class _Table:
    """The areas of the classes in each frame, a CSV file that appears when it is complete."""

    def __init__(self, path: Path, video: Video) -> None:
        self.path, self.video = path, video
        self._stack = ExitStack()

    def __enter__(self) -> '_Table':
        unfinished = self._stack.enter_context(replacing(self.path))
        file = self._stack.enter_context(open(unfinished, 'w', newline='', encoding='utf-8'))
        self.rows = csv.writer(file, lineterminator='\n')
        self.rows.writerow(_HEAD)
        return self

    def __exit__(self, *error: Any) -> Optional[bool]:
        return self._stack.__exit__(*error)

    def write(self, number: int, result: Prediction) -> None:
        """Add the lines of a frame."""
        seconds = f'{self.video.seconds(number):.3f}'
        for name, area in result.areas.items():
            self.rows.writerow((number, seconds, name, area.pixels, f'{area.share:.6f}'))


def video_to_folder(
    model: Any, path: Path, out: PathLike, name: PathLike, **options: Any
) -> Union[dict, Failure]:
    """Predict a video file; return its entry of the listing, or why there is none.

    Args:
        model: From ``load_model``.
        path: The file.
        out: As in :func:`predict_video`.
        name: As there.
        options: As there.
    """
    try:
        return predict_video(model, open_video(path), out, name, **options)
    except OSError:
        raise
    except Exception as error:  # damaged, or its frames do not fit into memory
        reason = first_line(error)
        return Failure(path, reason if str(path) in reason else f'{path}: {reason}')
