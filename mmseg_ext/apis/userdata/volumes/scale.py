"""How the values of volumes become those of images: absolute ones as they are, others scaled.

CT numbers mean the same in every scan, so slices keep them, and the data set file says which of
them are black and white. Those of MR do not: each channel of a volume is scaled by itself.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from ....core.files import read_foreign_json
from .nifti import read_volume, stored_type

_LOW, _HIGH = 0.005, 0.995  # quantiles that become black and white, as in nnU-Net
_AIR = -500  # only CT has such values
_FIRST, _LAST = -(2**15), 2**15 - 1
_WHITE = 2**16 - 1  # of scaled volumes


class Kind(NamedTuple):
    """What the values of all volumes are.

    Args:
        name: ``'bytes'``, ``'absolute'`` or ``'relative'``.
        why: A note for the user.
    """

    name: str
    why: str


def find_kind(root: Path, files: Sequence[Path], window: Sequence[int] = ()) -> Kind:
    """Tell what the values of volumes are: by the user, nnU-Net's ``dataset.json``, or the values.

    Args:
        root: Folder that may hold the ``dataset.json``.
        files: All image files; one of them is read.
        window: Black and white, if the user gives them.
    """
    if window:
        return Kind('absolute', f'the window is {window[0]} to {window[1]}, as given')
    if {stored_type(path) for path in files} == {'uint8'}:
        return Kind('bytes', 'the values are of 8 bits and kept')
    listed = _channel_names(root)
    if listed:
        shown = ', '.join(listed)
        if all(name.lower() == 'ct' for name in listed):
            return Kind('absolute', f'dataset.json says {shown}: the values are kept')
        return Kind('relative', f'dataset.json says {shown}: {_RELATIVE}')
    lowest = read_volume(files[0]).values.min()
    if lowest <= _AIR:
        return Kind('absolute', f'{files[0].name} has values down to {lowest:g}: taken for CT')
    return Kind('relative', _RELATIVE)


_RELATIVE = (
    'each channel of a volume is scaled to 16 bits, its quantiles .005 and .995 black and white; '
    '--window LOW HIGH keeps the values'
)


def _channel_names(root: Path) -> list[str]:
    content = read_foreign_json(root / 'dataset.json')
    listed = (
        content.get('channel_names', content.get('modality')) if isinstance(content, dict) else {}
    )
    return [str(name) for name in listed.values()] if isinstance(listed, dict) else []


def scaled(values: np.ndarray, kind: Kind) -> np.ndarray:
    """Return the values of a volume as they are stored in slices, of the same shape.

    Args:
        values: ``(..., C)``.
        kind: What they are.
    """
    if kind.name == 'bytes':
        return values
    if kind.name == 'absolute':
        return _kept(values)
    values = values.astype(np.float32)  # half of the memory
    flat = values.reshape(-1, values.shape[-1])
    low, high = np.quantile(flat, [_LOW, _HIGH], axis=0)
    high = np.where(high > low, high, low + 1)
    shares = (values - low.astype(np.float32)) / (high - low).astype(np.float32)
    return np.round(shares.clip(0, 1) * _WHITE).astype(np.uint16)


def _kept(values: np.ndarray) -> np.ndarray:
    """Return the values as int16 if that holds them, else as float32."""
    whole = values.dtype.kind != 'f' or bool((values == np.round(values)).all())
    if whole and values.min() >= _FIRST and values.max() <= _LAST:
        return values.astype(np.int16)
    return values.astype(np.float32)


class Histogram:
    """Counts values of labelled voxels, and of all, by whole numbers from -32768 to 32767."""

    def __init__(self) -> None:
        self.labelled = np.zeros(_LAST - _FIRST + 1, np.int64)
        self.all = self.labelled.copy()

    def add(self, values: np.ndarray, labels: np.ndarray) -> None:
        """Count a volume ``(X, Y, Z, C)`` and its labels ``(X, Y, Z, 1)``, part by part."""
        for part, own in zip(values, labels):
            numbers = np.floor(part).clip(_FIRST, _LAST).astype(np.int64) - _FIRST
            self.all += np.bincount(numbers.ravel(), minlength=self.all.size)
            labelled = numbers[own[..., 0] > 0].ravel()
            self.labelled += np.bincount(labelled, minlength=self.all.size)

    def window(self) -> tuple[int, int]:
        """Return the quantiles .005 and .995 of labelled voxels; of all, where none is labelled."""
        counts = self.labelled if self.labelled.any() else self.all
        shares = np.cumsum(counts) / counts.sum()
        low, high = (int(np.searchsorted(shares, share)) + _FIRST for share in (_LOW, _HIGH))
        return low, max(high, low + 1)


def keys_of(
    kind: Kind, window: Sequence[int], seen: Histogram
) -> tuple[Optional[int], Optional[int]]:
    """Return ``image_min_value`` and ``image_max_value`` of the data set file."""
    if kind.name == 'absolute':
        low, high = window or seen.window()
        return low, high
    return None, _WHITE if kind.name == 'relative' else None
