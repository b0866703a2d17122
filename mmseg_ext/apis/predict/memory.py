"""Estimate of the memory that predicting an image needs, and windows if it would not fit.

Shape letters: C channel, H row, W column.
"""

import copy
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Optional

import torch
from torch import Tensor

from ...core.headers import peek_header
from .windows import Size, Windows, as_batch, parts_of

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


SMALL = 1 << 20  # pixels; smaller images are predicted without an estimate
_MARGIN = 1.3  # factor on the memory of tensors, as operators need memory too
_AROUND = 24  # bytes per pixel of image, labels, overlay and their files
_SIDES = (1024, 512, 256)  # sides of windows; the largest that fits is used
_STEP = 64  # pixels to which the size at which windows start is rounded
_GIGA = 1e9


def free_memory(device: Any = 'cpu') -> int:
    """Return the bytes that this process may still allocate: machine, container and limits."""
    device = torch.device(device)
    if device.type == 'cuda':
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    known = [*_of_machine(), *_of_container(), *_of_limit()]
    return max(0, min(known, default=1 << 62))


def _of_machine() -> Iterator[int]:
    with suppress(OSError, ValueError, IndexError):
        for line in Path('/proc/meminfo').read_text().splitlines():
            if line.startswith('MemAvailable:'):
                yield int(line.split()[1]) * 1024


def _of_container() -> Iterator[int]:
    """Yield the free bytes in the control groups of the process, version 2 and 1."""
    with suppress(OSError):
        for line in Path('/proc/self/cgroup').read_text().splitlines():
            number, kinds, name = line.split(':', 2)
            if number == '0' or 'memory' in kinds.split(','):
                root = Path('/sys/fs/cgroup') if number == '0' else Path('/sys/fs/cgroup/memory')
                inner = root / name.lstrip('/')
                for folder in (inner, *inner.parents):
                    yield from _of_group(folder)
                    if folder == root:
                        break


def _of_group(folder: Path) -> Iterator[int]:
    for limit, used in (
        ('memory.max', 'memory.current'),
        ('memory.limit_in_bytes', 'memory.usage_in_bytes'),
    ):
        with suppress(OSError, ValueError):  # "max" means no limit
            total, taken = (int((folder / name).read_text()) for name in (limit, used))
            yield total - taken + _cached(folder)


def _cached(folder: Path) -> int:
    """Return the bytes of cached files, which the kernel can free."""
    with suppress(OSError, ValueError):
        for line in (folder / 'memory.stat').read_text().splitlines():
            if line.startswith(('inactive_file ', 'total_inactive_file ')):
                return int(line.split()[1])
    return 0


def _of_limit() -> Iterator[int]:
    """Yield the bytes that ``ulimit -v`` leaves."""
    if resource is None:
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        with suppress(OSError, ValueError, IndexError):
            pages = int(Path('/proc/self/statm').read_text().split()[0])
            yield limit - pages * os.sysconf('SC_PAGE_SIZE')


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
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._known: dict[tuple[int, ...], float] = {}

    @property
    def free(self) -> int:
        """Bytes that may still be allocated on the model's device."""
        return free_memory(_device_of(self.model))

    def plan(
        self, inputs: Tensor, meta: dict, *, keep_prob: bool = False, held: Optional[float] = None
    ) -> Optional[Windows]:
        """Choose windows for an image that would not fit into memory.

        Args:
            inputs: ``(C, H, W)``, as the pipeline packs it; it may have no values (device meta).
            meta: Meta information of its data sample, with ``ori_shape``.
            keep_prob: Whether probabilities of the whole image are needed.
            held: Bytes of the image that stay in memory beside windows; ``None`` if image, labels
                and overlay do.

        Returns:
            The windows; ``None`` if the whole image fits.

        Raises:
            ValueError: If windows do not fit either, or the image cannot be divided.
        """
        size, shown = tuple(inputs.shape[-2:]), tuple(meta['ori_shape'][:2])
        if max(math.prod(size), math.prod(shown)) <= SMALL:
            return None
        free = self.free
        need = self.needed(inputs, shown, keep_prob)
        if need <= free:
            return None
        reason = f'at once it takes about {need / _GIGA:.1f} GB, and {free / _GIGA:.1f} GB are free'
        if keep_prob:
            raise ValueError(f'{reason}: leave --prob out, or cut the image into tiles')
        if size != shown or any(meta.get('padding_size', ())) or meta.get('flip'):
            raise ValueError(f'{reason}, and its pipeline resizes it, so that it cannot be cut')
        held = _AROUND * math.prod(size) if held is None else held
        return self._largest(inputs, free, held, reason)

    def side_of_windows(self, inputs: Tensor) -> int:
        """Return the side of the largest square image, in pixels, that is predicted at once.

        Args:
            inputs: ``(C, H, W)`` of any size, as the pipeline packs an image.
        """
        free, side = self.free, 1024
        for _ in range(3):  # what is needed grows about as the pixels do
            image = torch.empty((len(inputs), side, side), dtype=inputs.dtype, device='meta')
            factor = free / self.needed(image, (side, side), False)
            side = max(_STEP, int(side * math.sqrt(factor)) // _STEP * _STEP)
        return side

    def _largest(self, inputs: Tensor, free: int, held: float, reason: str) -> Windows:
        for windows in self.choices():
            needed = held + self._held(windows, inputs)
            network = _MARGIN * self._network(inputs, windows.size)
            if self._fit(needed, network, free):
                return Windows(windows.size, windows.stride, windows.smooth, f'{reason}: ')
        raise ValueError(f'{reason}, which are too few for windows, too: cut it into tiles')

    def _fit(self, held: float, network: float, free: int) -> bool:
        """Whether sums and image fit beside the network, or each on its device."""
        if _device_of(self.model).type == 'cpu':
            return held + network <= free
        return network <= free and held <= free_memory()

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
        width, channels = inputs.shape[-1], _classes(self.model) + 2
        tops = windows.starts((int(inputs.shape[-2]), int(width)))[0]
        overlap = max((top + high - below for top, below in zip(tops, tops[1:])), default=0)
        sums = 4 * channels * (overlap * width + 4 * high * wide)
        return sums + high * width * (3 * len(inputs) * inputs.element_size() + _AROUND)

    def needed(self, inputs: Tensor, shown: Sequence[int], keep_prob: bool) -> float:
        """Estimate the bytes needed to predict a whole image."""
        pixels, classes = math.prod(shown), _classes(self.model)
        around = _AROUND + (14 * classes if keep_prob else 0)
        size = tuple(inputs.shape[-2:])
        test_cfg = _test_cfg(self.model)
        if test_cfg.get('mode') == 'slide':  # sums, a padded window, and the quotient
            crop = _pair(test_cfg['crop_size'])
            network = self._network(inputs, crop)
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
        inputs, shown = data['inputs'], data['data_samples'].ori_shape[:2]
        pixels = math.prod(shown)
        if copies * max(math.prod(inputs.shape[-2:]), pixels) <= SMALL:
            return
        more = 8 * _classes(self.model) * pixels * (copies - 1)  # and joined to one tensor
        need = self.needed(inputs, shown, keep_prob=True) + more
        free = self.free
        if need > free:
            raise ValueError(
                f'{path} is {shown[1]}x{shown[0]}, and the probabilities of its pixels take about '
                f'{need / _GIGA:.1f} GB, where {free / _GIGA:.1f} GB are free: cut it into tiles, '
                'or take it away'
            )

    def _network(self, inputs: Tensor, size: Sequence[int]) -> float:
        """Estimate the bytes of tensors for an image size by a run on meta tensors."""
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


def _device_of(model: Any) -> torch.device:
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
