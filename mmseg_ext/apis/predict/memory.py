"""Estimate of the memory that predicting an image needs, and windows if it would not fit.

Shape letters: C channel, H row, W column.
"""

import copy
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import torch
from torch import Tensor

from ...core.headers import peek_header
from ...models.segmentors.windows_at_once import count_at_once
from .free import free_memory
from .strips import MAPS
from .windows import Size, Windows, as_batch, parts_of

SMALL = 1 << 20  # pixels; smaller images are predicted without an estimate
_MARGIN = 1.3  # factor on the memory of tensors, as operators need memory too
_AROUND = 24  # bytes per pixel of image, labels, overlay and their files
_SIDES = (1024, 512, 256)  # sides of windows; the largest that fits is used
_STEP = 64  # pixels to which the size at which windows start is rounded
_GIGA = 1e9


def check_readable(path: Path) -> None:
    """Refuse an image file that would not fit into memory when decoded.

    Raises:
        ValueError: If it would not fit; the message gives its size.
    """
    try:
        header = peek_header(path)
    except Exception:  # decoders raise many types; the loader may read it, or reports the error
        return
    width, height = header.width, header.height
    need, free = _AROUND * width * height, free_memory()
    if width * height > SMALL and need > free:
        raise ValueError(
            f'{path} is {width}x{height}, which takes about {need / _GIGA:.1f} GB, and '
            f'{free / _GIGA:.1f} GB are free: cut it into tiles'
        )


class Memory:
    """Decides whether an image is predicted at once or in windows.

    Args:
        model: A segmentor in evaluation mode.
        keep_prob: Whether probabilities are kept, too.
        whole: Why an image must not be divided; empty if it may be.
        known: Another one of the same model, whose estimates are shared.
    """

    def __init__(
        self,
        model: Any,
        *,
        keep_prob: bool = False,
        whole: str = '',
        known: Optional['Memory'] = None,
    ) -> None:
        self.model, self.keep_prob = model, keep_prob
        self.whole = whole or getattr(model, 'whole', '')
        self._known: dict[tuple[int, ...], float] = {} if known is None else known._known

    @property
    def free(self) -> int:
        """Bytes that may still be allocated on the model's device."""
        return free_memory(device_of(self.model))

    def plan(
        self, inputs: Tensor, meta: dict, *, held: Optional[float] = None
    ) -> Optional[Windows]:
        """Choose windows for an image that would not fit into memory.

        Args:
            inputs: ``(C, H, W)``, as the pipeline packs it; it may have no values (device meta).
            meta: Meta information of its data sample, with ``ori_shape``.
            held: Bytes of the image that stay in memory beside windows; ``None`` if image, labels
                and overlay do, and probabilities if they are kept.

        Returns:
            The windows; ``None`` if the whole image fits.

        Raises:
            ValueError: If windows do not fit either, or the image cannot be divided.
        """
        size, shown = tuple(inputs.shape[-2:]), tuple(meta['ori_shape'][:2])
        if max(math.prod(size), math.prod(shown)) <= SMALL:
            return None
        free = self.free
        need = self.needed(inputs, shown, self.keep_prob)
        if need <= free:
            return None
        reason = f'at once it takes about {need / _GIGA:.1f} GB, and {free / _GIGA:.1f} GB are free'
        if self.whole:
            raise ValueError(
                f'{reason}, and windows will not do, as {self.whole}: cut it into tiles'
            )
        if _is_changed(inputs, meta):
            raise ValueError(f'{reason}, and its pipeline resizes it, so that it cannot be cut')
        held = self._held_whole(size) if held is None else held
        return self._largest(inputs, free, held, reason)

    def side_of_windows(self, inputs: Tensor) -> int:
        """Return the side of the largest square image, in pixels, that is predicted at once.

        Args:
            inputs: ``(C, H, W)`` of any size, as the pipeline packs an image.
        """
        free, side = self.free, 1024
        for _ in range(3):  # what is needed grows about as the pixels do
            image = torch.empty((len(inputs), side, side), dtype=inputs.dtype, device='meta')
            factor = free / self.needed(image, (side, side), self.keep_prob)
            side = max(_STEP, int(side * math.sqrt(factor)) // _STEP * _STEP)
        return side

    def _largest(self, inputs: Tensor, free: int, held: float, reason: str) -> Windows:
        for windows in self.choices():
            needed = held + self._held(windows, inputs)
            network = _MARGIN * self._network(inputs, windows.size)
            if self._fit(needed, network, free):
                return Windows(windows.size, windows.stride, windows.smooth, f'{reason}: ')
        also = 'leave --prob out, or ' if self.keep_prob else ''
        raise ValueError(f'{reason}, which are too few for windows, too: {also}cut it into tiles')

    def _fit(self, held: float, network: float, free: int) -> bool:
        """Whether sums and image fit beside the network, or each on its device."""
        if device_of(self.model).type == 'cpu':
            return held + network <= free
        return network <= free and held <= free_memory()

    def _held_whole(self, size: Sequence[int]) -> float:
        """Return the bytes of an image with all that is made of it; strips are joined to one."""
        return (_AROUND + 4.0 * self.keep_prob * _classes(self.model)) * math.prod(size)

    def check_joined(self, size: Sequence[int]) -> None:
        """Refuse a large image whose labels and probabilities would not fit into memory.

        Raises:
            ValueError: If they would not fit.
        """
        need, free = self._held_whole(size), free_memory()
        if need > free:
            raise ValueError(
                f'its labels and probabilities take about {need / _GIGA:.1f} GB, and '
                f'{free / _GIGA:.1f} GB are free: write them with tools/predict.py'
            )

    def largest_batch(self, inputs: Tensor, shown: Sequence[int], most: int) -> int:
        """Return how many images of a size may be predicted at the same time, at least 1."""
        if most == 1 or most * max(math.prod(inputs.shape[-2:]), math.prod(shown)) <= SMALL:
            return most
        need = self.needed(inputs, shown, self.keep_prob)
        return max(1, min(most, int(self.free // need)))

    def choices(self) -> Iterator[Windows]:
        """Yield the windows that may be used, those that are preferred first."""
        test_cfg = _test_cfg(self.model)
        if test_cfg.get('mode') == 'slide':
            yield Windows(_pair(test_cfg['crop_size']), _pair(test_cfg['stride']))
        else:
            for side in _SIDES:
                yield Windows((side, side), (side * 3 // 4, side * 3 // 4), smooth=True)

    def _held(self, windows: Windows, inputs: Tensor) -> float:
        """Return the bytes of what windows leave for those below, and of the rows in work."""
        high, wide = (min(pair) for pair in zip(windows.size, inputs.shape[-2:]))
        width, channels = inputs.shape[-1], _classes(self.model) + 1 + len(MAPS)
        tops = windows.starts((int(inputs.shape[-2]), int(width)))[0]
        overlap = max((top + high - below for top, below in zip(tops, tops[1:])), default=0)
        sums = 4 * channels * (overlap * width + 4 * high * wide)
        strip = _AROUND + 2 * self.keep_prob * _classes(self.model)
        return sums + high * width * (3 * len(inputs) * inputs.element_size() + strip)

    def needed(self, inputs: Tensor, shown: Sequence[int], keep_prob: bool) -> float:
        """Estimate the bytes needed to predict a whole image."""
        pixels, classes = math.prod(shown), _classes(self.model)
        kept = 4 * getattr(self.model, 'kept', 0)  # by what runs the network several times
        around = _AROUND + (kept + (14 if keep_prob else 0)) * classes
        size = tuple(inputs.shape[-2:])
        test_cfg = _test_cfg(self.model)
        if test_cfg.get('mode') == 'slide':  # sums, a padded window, and the quotient
            crop = _pair(test_cfg['crop_size'])
            network = self._network(inputs, crop) * count_at_once(parts_of(self.model)[0], crop)
            network += 4 * (3 * classes + 3 + 2 * len(inputs)) * math.prod(size)
        else:
            network = self._network(inputs, size)
        resized = 0 if size == tuple(shown) else 4 * (2 * classes + 4) * pixels
        return around * pixels + _MARGIN * (network + resized)

    def check_probabilities(self, path: str, data: dict, copies: int = 1) -> None:
        """Refuse an image whose probabilities are wanted and would not fit into memory.

        Args:
            path: Of the image.
            data: What the pipeline made of it.
            copies: How many probabilities of each class are kept at the same time.

        Raises:
            ValueError: If they would not fit; naming the image.
        """
        lack = self._lack(data, copies)
        if lack:
            raise ValueError(f'{path} {lack}: cut it into tiles, or take it away')

    def windows_of_probabilities(self, path: str, data: dict, copies: int = 1) -> Optional[Windows]:
        """Choose windows for an image whose probabilities are looked at strip by strip.

        Args:
            path: Of the image.
            data: What the pipeline made of it.
            copies: As in :meth:`check_probabilities`.

        Returns:
            The windows; ``None`` if all probabilities fit into memory at once.

        Raises:
            ValueError: If windows do not fit either, or the image cannot be divided; naming it.
        """
        lack = self._lack(data, copies)
        if not lack:
            return None
        inputs, meta = data['inputs'], data['data_samples'].metainfo
        free, cut = self.free, not self.whole and not _is_changed(inputs, meta)
        for windows in self.choices() if cut else ():
            rows = min(windows.size[0], inputs.shape[-2]) * inputs.shape[-1]
            held = copies * (self._held(windows, inputs) + 16.0 * _classes(self.model) * rows)
            if self._fit(held, _MARGIN * self._network(inputs, windows.size), free):
                return Windows(windows.size, windows.stride, windows.smooth, f'it {lack}: ')
        raise ValueError(f'{path} {lack}: cut it into tiles, or take it away')

    def _lack(self, data: dict, copies: int) -> str:
        """Say how much the probabilities of an image take, if they do not fit; else nothing."""
        inputs, shown = data['inputs'], data['data_samples'].ori_shape[:2]
        pixels = math.prod(shown)
        if copies * max(math.prod(inputs.shape[-2:]), pixels) <= SMALL:
            return ''
        more = 8 * _classes(self.model) * pixels * (copies - 1)  # and joined to one tensor
        need = self.needed(inputs, shown, keep_prob=True) + more
        free = self.free
        return '' if need <= free else (
            f'is {shown[1]}x{shown[0]}, and the probabilities of its pixels take about '
            f'{need / _GIGA:.1f} GB, where {free / _GIGA:.1f} GB are free'
        )  # fmt: skip

    def _network(self, inputs: Tensor, size: Sequence[int]) -> float:
        """Estimate the bytes of tensors for an image size by a run on meta tensors."""
        size = getattr(self.model, 'network_size', tuple)(size)  # of test-time augmentation
        key = (len(inputs), *size)
        if key not in self._known:
            model = parts_of(self.model)[0]
            known = getattr(model, 'bytes_per_pixel', None)  # of an exported network, see deploy
            if known is not None:
                return known * math.prod(size)
            try:
                self._known[key] = float(_imagined_peak(model, inputs, size))
            except Exception:  # a step needs values: measure a small image instead
                self._known[key] = bytes_per_pixel(model, inputs) * math.prod(size)
        return self._known[key]


def _is_changed(inputs: Tensor, meta: dict) -> bool:
    """Whether the pipeline resized, padded or flipped an image, so that it cannot be cut."""
    size, shown = tuple(inputs.shape[-2:]), tuple(meta['ori_shape'][:2])
    return bool(size != shown or any(meta.get('padding_size', ())) or meta.get('flip'))


def device_of(model: Any) -> torch.device:
    """Return where a model computes; exported ones, which have no parameters, do on the CPU."""
    return next((p.device for p in model.parameters()), torch.device('cpu'))


def _test_cfg(model: Any) -> dict:
    return dict(getattr(parts_of(model)[0], 'test_cfg', None) or {})


def _classes(model: Any) -> int:
    return max(2, len(model.dataset_meta['classes']))


def _pair(value: Any) -> Size:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _imagined_peak(model: Any, inputs: Tensor, size: Sequence[int]) -> int:
    """Run the model on meta tensors, which have a shape but no values, and count their bytes."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    copied = copy.deepcopy(model)  # a module may keep a tensor between runs
    with FakeTensorMode(allow_non_fake_inputs=True):
        image = torch.empty((len(inputs), *size), dtype=inputs.dtype)
        return _peak(copied, image)


def bytes_per_pixel(model: Any, inputs: Tensor, side: int = 256) -> float:
    """Measure the bytes of tensors per pixel on a small image.

    Args:
        model: A segmentor in evaluation mode.
        inputs: An image ``(C, H, W)`` as the pipeline packs it, for its channels and its type.
        side: H and W of the image that is measured.
    """
    with torch.random.fork_rng(devices=[]):  # dropout in testing draws random numbers
        image = torch.zeros((len(inputs), side, side), dtype=inputs.dtype)
        return _peak(model, image) / side**2


def _peak(model: Any, image: Tensor) -> int:
    from ..run.network.live_bytes import LiveBytes

    with torch.no_grad(), warnings.catch_warnings(), LiveBytes() as held:
        warnings.simplefilter('ignore')
        data = model.data_preprocessor(as_batch(image, {}), False)
        model.predict(data['inputs'], data['data_samples'])
    return held.peak
