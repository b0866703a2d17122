"""Images that are too large to be predicted at once: how much memory that takes, and windows.

The windows of a model that is tested with mmseg's sliding windows are those, and their logits are
averaged as there. Those of a model that sees whole images overlap by a quarter, and a window counts
less towards its borders, where it sees less: a Gaussian, as in nnU-Net
(https://arxiv.org/abs/1904.08128). Only one row of windows is held in memory.
Shape letters: C channel, K class, H row, W column.
"""

import copy
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from ...core.headers import read_bytes, read_header

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

Size = tuple[int, int]

_SMALL = 1 << 20  # pixels; what is smaller is predicted without asking
_MARGIN = 1.3  # on what tensors take: operators take memory for themselves, too
_AROUND = 24  # bytes per pixel of the picture, the labels, the overlay and their files
_SIDES = (1024, 512, 256)  # of windows, the largest that fits
_GIGA = 1e9


@dataclass(frozen=True)
class Windows:
    """How an image is cut.

    Args:
        size: H and W of a window.
        stride: Rows and columns from one to the next.
        smooth: Whether a window counts less towards its borders.
        reason: Why, to be told.
    """

    size: Size
    stride: Size
    smooth: bool = False
    reason: str = ''

    def __str__(self) -> str:
        (height, width), (down, across) = self.size, self.stride
        return f'{self.reason}in windows of {width}x{height}, one every {across}x{down} pixels'


# ------------------------------------------------------------------------------- memory


def free_memory(device: Any = 'cpu') -> int:
    """Bytes that this process may still take: of the machine, its container and its limits."""
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
    """What the control groups of the process leave, version 2 and 1."""
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
        with suppress(OSError, ValueError):  # "max" is no limit
            total, taken = (int((folder / name).read_text()) for name in (limit, used))
            yield total - taken + _cached(folder)


def _cached(folder: Path) -> int:
    """Bytes of files that the kernel gives back when asked."""
    with suppress(OSError, ValueError):
        for line in (folder / 'memory.stat').read_text().splitlines():
            if line.startswith(('inactive_file ', 'total_inactive_file ')):
                return int(line.split()[1])
    return 0


def _of_limit() -> Iterator[int]:
    """What ``ulimit -v`` leaves."""
    if resource is None:
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        with suppress(OSError, ValueError, IndexError):
            pages = int(Path('/proc/self/statm').read_text().split()[0])
            yield limit - pages * os.sysconf('SC_PAGE_SIZE')


def check_readable(path: Path) -> None:
    """Refuse a file that does not even fit into memory once it is decoded.

    Raises:
        ValueError: If it does not, with its size.
    """
    try:
        header = read_header(read_bytes(str(path)))
    except ValueError:  # the loader of the pipeline may know it, or says what is wrong
        return
    width, height = header.width, header.height
    need, free = _AROUND * width * height, free_memory()
    if width * height > _SMALL and need > free:
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

    def plan(self, inputs: Tensor, meta: dict, *, keep_prob: bool = False) -> Optional[Windows]:
        """Choose windows for an image that would not fit.

        Args:
            inputs: ``(C, H, W)``, as the pipeline packs it.
            meta: Of its data sample, with ``ori_shape``.
            keep_prob: Whether probabilities of the whole image are wanted.

        Returns:
            ``None`` where the image fits at once.

        Raises:
            ValueError: If it does not fit in windows either, or cannot be cut.
        """
        size, shown = tuple(inputs.shape[-2:]), tuple(meta['ori_shape'][:2])
        if max(math.prod(size), math.prod(shown)) <= _SMALL:
            return None
        free = free_memory(_device_of(self.model))
        need = self.needed(inputs, shown, keep_prob)
        if need <= free:
            return None
        reason = f'at once it takes about {need / _GIGA:.1f} GB, and {free / _GIGA:.1f} GB are free'
        if keep_prob:
            raise ValueError(f'{reason}: leave --prob out, or cut the image into tiles')
        if size != shown or any(meta.get('padding_size', ())) or meta.get('flip'):
            raise ValueError(f'{reason}, and its pipeline resizes it, so that it cannot be cut')
        return self._largest(inputs, free, reason)

    def _largest(self, inputs: Tensor, free: int, reason: str) -> Windows:
        size = tuple(inputs.shape[-2:])
        for windows in self._choices():
            held = self._held(windows, size) + _AROUND * math.prod(size)
            if held + _MARGIN * self._network(inputs, windows.size) <= free:
                return Windows(windows.size, windows.stride, windows.smooth, f'{reason}: ')
        raise ValueError(f'{reason}, which are too few for windows, too: cut it into tiles')

    def _choices(self) -> Iterator[Windows]:
        test_cfg = _test_cfg(self.model)
        if test_cfg.get('mode') == 'slide':
            yield Windows(_pair(test_cfg['crop_size']), _pair(test_cfg['stride']))
        else:
            for side in _SIDES:
                yield Windows((side, side), (side * 3 // 4, side * 3 // 4), smooth=True)

    def _held(self, windows: Windows, size: Sequence[int]) -> float:
        """Bytes of one row of windows, and of what of it waits for the next row."""
        return 2 * 4 * (_classes(self.model) + 2) * min(windows.size[0], size[0]) * size[1]

    def needed(self, inputs: Tensor, shown: Sequence[int], keep_prob: bool) -> float:
        """Bytes that predicting an image at once takes, estimated."""
        pixels, classes = math.prod(shown), _classes(self.model)
        around = _AROUND + (14 * classes if keep_prob else 0)
        size = tuple(inputs.shape[-2:])
        test_cfg = _test_cfg(self.model)
        if test_cfg.get('mode') == 'slide':  # sums, a padded window, their quotient
            crop = _pair(test_cfg['crop_size'])
            network = self._network(inputs, crop)
            network += 4 * (3 * classes + 3 + 2 * len(inputs)) * math.prod(size)
        else:
            network = self._network(inputs, size)
        resized = 0 if size == tuple(shown) else 4 * (2 * classes + 4) * pixels
        return around * pixels + _MARGIN * (network + resized)

    def _network(self, inputs: Tensor, size: Sequence[int]) -> float:
        """Bytes of tensors in predicting one image of a size, from a run without numbers."""
        key = (len(inputs), *size)
        if key not in self._known:
            model = _parts(self.model)[0]
            try:
                self._known[key] = float(_imagined_peak(model, inputs, size))
            except Exception:  # a step that looks at numbers: go by a small image
                self._known[key] = _measured(model, inputs) * math.prod(size)
        return self._known[key]


def _device_of(model: Any) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device('cpu'))


def _parts(model: Any) -> list[Any]:
    """The models whose answers are averaged, or the one."""
    return list(getattr(model, 'models', [model]))


def _test_cfg(model: Any) -> dict:
    return dict(getattr(_parts(model)[0], 'test_cfg', None) or {})


def _classes(model: Any) -> int:
    return max(2, len(model.dataset_meta['classes']))


def _pair(value: Any) -> Size:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _imagined_peak(model: Any, inputs: Tensor, size: Sequence[int]) -> int:
    """Run the model on tensors that have a shape and no numbers, and count their bytes."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    copied = copy.deepcopy(model)  # a module may keep a tensor from one run to the next
    with FakeTensorMode(allow_non_fake_inputs=True):
        image = torch.empty((len(inputs), *size), dtype=inputs.dtype)
        return _peak(copied, image)


def _measured(model: Any, inputs: Tensor, side: int = 256) -> float:
    """Bytes per pixel on a small image."""
    with torch.random.fork_rng(devices=[]):  # dropout that is on in testing draws numbers
        return _peak(model, inputs.new_zeros((len(inputs), side, side))) / side**2


def _peak(model: Any, image: Tensor) -> int:
    from ..run.live_bytes import LiveBytes

    with torch.no_grad(), warnings.catch_warnings(), LiveBytes() as held:
        warnings.simplefilter('ignore')
        data = model.data_preprocessor(_batch(image, {}), False)
        model.predict(data['inputs'], data['data_samples'])
    return held.peak


# ------------------------------------------------------------------------------ windows


def _batch(image: Tensor, meta: dict) -> dict:
    """One image as a batch, which stands for itself: whatever it was cut from."""
    size = tuple(image.shape[-2:])
    own = {key: meta[key] for key in meta if key not in ('img_path', 'seg_map_path')}
    own.update(ori_shape=size, img_shape=size, pad_shape=size)
    return dict(inputs=[image], data_samples=[SegDataSample(metainfo=own)])


def starts(length: int, size: int, stride: int) -> list[int]:
    """Where windows start along one side: the last one ends with the image, as mmseg's do."""
    count = max(length - size + stride - 1, 0) // stride + 1
    return [max(min(index * stride + size, length) - size, 0) for index in range(count)]


def _weight(size: Size, smooth: bool, like: Tensor) -> Tensor:
    """How much each pixel of a window counts, ``(H, W)``."""
    if not smooth:
        return like.new_ones(size)
    sides = []
    for length in size:
        place = torch.arange(length, dtype=torch.float32) - (length - 1) / 2
        sides.append(torch.exp(-0.5 * (place / (length / 8)) ** 2).clamp(min=1e-3))
    return torch.outer(*sides).to(like)


class _Rows:
    """Weighted sums of the windows' maps, for the rows that are not finished.

    Args:
        size: H of the windows and W of the image.
    """

    def __init__(self, size: Size) -> None:
        self.size, self.top = size, 0
        self.sums = self.weights = torch.empty(0)

    def add(self, maps: Tensor, weight: Tensor, top: int, left: int) -> None:
        """Add the maps ``(C, h, w)`` of one window."""
        if not self.sums.numel():
            self.sums = maps.new_zeros((len(maps), *self.size))
            self.weights = maps.new_zeros(self.size)
        height, width = maps.shape[-2:]
        place = slice(top - self.top, top - self.top + height), slice(left, left + width)
        self.sums[(slice(None), *place)] += maps * weight
        self.weights[place] += weight

    def finish(self, bottom: int) -> Tensor:
        """Hand out the means ``(C, rows, W)`` above ``bottom`` and make room below."""
        rows = bottom - self.top
        means = self.sums[:, :rows] / self.weights[:rows]
        for held in (self.sums, self.weights):
            rest = held[..., rows:, :].clone()
            held.zero_()
            held[..., : rest.shape[-2], :] = rest
        self.top = bottom
        return means


def predict_windows(
    model: Any, inputs: Tensor, sample: Any, windows: Windows
) -> tuple[np.ndarray, Optional[np.ndarray]]:
    """Predict an image window by window.

    Args:
        model: A segmentor in evaluation mode.
        inputs: ``(C, H, W)``, as the pipeline packs it.
        sample: Its data sample.
        windows: From :meth:`Memory.plan`.

    Returns:
        Labels ``(H, W)``, uint8 or, from 257 classes on, uint16; and the uncertainty ``(H, W)``
        float32 of models that give one.

    Raises:
        ValueError: If the model answers with NaN.
    """
    height, width = inputs.shape[-2:]
    tops = starts(height, windows.size[0], windows.stride[0])
    lefts = starts(width, windows.size[1], windows.stride[1])
    rows = _Rows((min(windows.size[0], height), width))
    labels, uncertainties = [], []
    for top, bottom in zip(tops, [*tops[1:], height]):
        for left in lefts:
            cut = inputs[:, top : top + windows.size[0], left : left + windows.size[1]]
            maps, uncertain = _maps(model, cut, sample.metainfo)
            shape = (int(maps.shape[-2]), int(maps.shape[-1]))
            rows.add(maps, _weight(shape, windows.smooth, maps), top, left)
        means = rows.finish(bottom)
        if uncertain:
            uncertainties.append(means[-1].cpu().numpy())
            means = means[:-1]
        labels.append(_labels(model, means))
    return np.concatenate(labels), np.concatenate(uncertainties) if uncertainties else None


def _maps(model: Any, cut: Tensor, meta: dict) -> tuple[Tensor, bool]:
    """What the model says of one window, ``(C, h, w)``, its uncertainty last, and if there is."""
    result = model.test_step(_batch(cut, meta))[0]
    maps, uncertain = result.seg_logits.data.float(), 'uncertainty' in result
    if uncertain:
        maps = torch.cat([maps, result.uncertainty.data.float()])
    if maps.isnan().any():
        raise ValueError('the model answers with NaN')
    return maps, uncertain


def _labels(model: Any, means: Tensor) -> np.ndarray:
    """The most probable class, or, of a single channel, where it exceeds the threshold."""
    if len(means) == 1:
        parts = _parts(model)
        threshold = sum(part.decode_head.threshold for part in parts) / len(parts)
        return (means[0] > threshold).cpu().numpy().astype(np.uint8)
    return means.argmax(0).cpu().numpy().astype(np.uint8 if len(means) <= 256 else np.uint16)
