"""Pixel counts per image, kept on disk so that memory does not grow with the number of images.

Source: our own. Rows are appended to a temporary file while the model runs. At the end they are
read through a memory map and written to one ``.npz``, which gets its name only when it is complete.
Shape letters: N images, K classes.
"""

import json
import os
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Optional, Union

import numpy as np
from mmengine.dist import all_gather_object, get_rank, is_main_process

from ..core.files import replacing

NAMES = ('tp', 'pred', 'label')
_CHUNK = 4096  # images per write
_GATHER = 1024  # images per rank and exchange


class StoredCounts(NamedTuple):
    """Counts as saved by a test.

    Args:
        names: File names of the images, ``(N,)``.
        rows: ``(N, 3, K)``, in the order of ``NAMES``.
        groups: Group name of each image, ``(N,)``, or None.
    """

    names: np.ndarray
    rows: np.ndarray
    groups: Optional[np.ndarray]


def read_counts(path: Union[str, Path]) -> StoredCounts:
    """Read a file that :meth:`ImageCounts.save` wrote.

    Raises:
        ValueError: If the file is damaged or of another kind; the message names it.
    """
    try:
        with np.load(path) as file:
            names = file['names']
            arrays = [file[name] for name in NAMES]
            groups = file['groups'] if 'groups' in file.files else None
    except Exception as error:  # numpy and zipfile raise many types, all caused by the file
        raise ValueError(f'{path}: no counts of images ({error}): test the run again') from error
    shape = (names.size, *arrays[0].shape[1:])
    fits = all(array.shape == shape and array.dtype.kind in 'iu' for array in arrays)
    fits = fits and names.ndim == 1 and names.dtype.kind == 'U'
    if fits:  # true positives are part of both sums
        true_positive, *sums = arrays
        fits = true_positive.min(initial=0) >= 0 and all((true_positive <= s).all() for s in sums)
    if len(shape) != 2 or not fits or (groups is not None and groups.shape != names.shape):
        raise ValueError(f'{path}: its arrays do not fit each other: test the run again')
    return StoredCounts(names, np.stack(arrays, 1), groups)


class ImageCounts:
    """Append-only store of tp, pred and label counts, with name and group of each image.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self._rows = tempfile.TemporaryFile(prefix='mmseg_ext_counts_')
        self._names = tempfile.TemporaryFile('w+', encoding='utf-8', prefix='mmseg_ext_names_')
        self._length = 0
        self._longest_name = 1

    def __len__(self) -> int:
        return self._length

    def append(
        self,
        tp: np.ndarray,
        pred: np.ndarray,
        label: np.ndarray,
        name: str,
        group: Optional[str] = None,
    ) -> None:
        """Add one image; the arrays have shape ``(K,)``; the group is, for example, its patient."""
        self._rows.seek(0, os.SEEK_END)
        self._rows.write(np.stack([tp, pred, label]).astype(np.int64).tobytes())
        self._names.seek(0, os.SEEK_END)
        self._names.write(json.dumps([name, group]) + '\n')  # a name may contain a line break
        self._longest_name = max(self._longest_name, len(name))
        self._length += 1

    def arrays(self) -> np.ndarray:
        """Return a memory map of the counts, int64 ``(N, 3, K)`` in the order of ``NAMES``."""
        shape = (self._length, len(NAMES), self.num_classes)
        if 0 in shape:  # an empty file cannot be mapped
            return np.zeros(shape, np.int64)
        self._rows.flush()
        return np.memmap(self._rows, np.int64, 'r', shape=shape)

    def names(self) -> 'Names':
        """Return the image names in order; each pass reads them anew."""
        return Names(self)

    def groups(self) -> Optional[list[str]]:
        """List the group of each image, or return ``None`` if some image has none."""
        found = [group for _, group in self.members() if group is not None]
        return found if len(found) == len(self) else None

    def members(self) -> Iterator[tuple[str, Optional[str]]]:
        """Yield name and group of each image in order."""
        self._names.flush()
        self._names.seek(0)
        for _ in range(self._length):
            name, group = json.loads(self._names.readline())
            yield name, group

    def save(self, path: Union[str, Path], groups: Optional[Sequence[str]] = None) -> None:
        """Write ``tp``, ``pred``, ``label`` of shape ``(N, K)`` and ``names`` ``(N,)``.

        Args:
            path: Target ``.npz``. It is replaced in one step; its folder is created.
            groups: Group names ``(N,)`` to write instead of those given with the images.
        """
        with replacing(path) as unfinished:
            with zipfile.ZipFile(unfinished, 'w', zipfile.ZIP_DEFLATED) as archive:
                self._write_members(archive, groups or self.groups())

    def _write_members(self, archive: zipfile.ZipFile, groups: Optional[Sequence[str]]) -> None:
        counts = self.arrays()
        for index, member in enumerate(NAMES):
            with archive.open(f'{member}.npy', 'w', force_zip64=True) as file:
                _write_header(file, np.dtype(np.int64), (len(self), self.num_classes))
                for start in range(0, len(self), _CHUNK):
                    file.write(np.ascontiguousarray(counts[start : start + _CHUNK, index]).data)
        _write_texts(archive, 'names', self.names(), len(self), self._longest_name)
        if groups:
            _write_texts(archive, 'groups', groups, len(self), max(map(len, groups)))

    def close(self) -> None:
        """Delete the temporary files."""
        self._rows.close()
        self._names.close()


class Names(Collection[str]):
    """The names of the images of a test, which are not in memory.

    Args:
        counts: The images.
    """

    def __init__(self, counts: ImageCounts) -> None:
        self._counts = counts

    def __len__(self) -> int:
        return len(self._counts)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._counts.members())

    def __contains__(self, name: object) -> bool:
        return any(name == own for own in self)


def _write_texts(
    archive: zipfile.ZipFile, member: str, texts: Iterable[str], length: int, longest: int
) -> None:
    dtype = np.dtype(f'U{longest}')
    with archive.open(f'{member}.npy', 'w', force_zip64=True) as file:
        _write_header(file, dtype, (length,))
        for text in texts:
            file.write(np.array(text, dtype).tobytes())


def _write_header(file: object, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    header = dict(
        descr=np.lib.format.dtype_to_descr(dtype), fortran_order=False, shape=tuple(shape)
    )
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]


def images_to_keep(lengths: Sequence[int], size: int) -> list[int]:
    """Return for each rank how many of its images are not repeated.

    mmengine's ``DefaultSampler`` gives image j * W + r to rank r. It then repeats images from the
    front until all ranks have the same number, so the last image of a rank may be a repetition.

    Args:
        lengths: Images that each of the W ranks has processed.
        size: Images in the data set.

    Returns:
        For each rank, how many of its first images to count.

    Raises:
        ValueError: If the surplus does not come from the sampler.
    """
    if sum(lengths) <= size:
        return list(lengths)
    world = len(lengths)
    keep = [min(n, (size - rank + world - 1) // world) for rank, n in enumerate(lengths)]
    if sum(keep) != size or any(n - k > 1 for n, k in zip(lengths, keep)):
        raise ValueError(
            f'the ranks processed {list(lengths)} images of a data set of {size}, so it is not '
            "clear which were repeated: use mmengine's DefaultSampler for testing"
        )
    return keep


def merge_ranks(counts: ImageCounts, keep: list[int]) -> ImageCounts:
    """Gather the counts of all ranks on the main process, in the order of the data set.

    Each exchange sends only ``_GATHER`` images per rank, so memory does not grow.
    """
    if len(keep) == 1 and keep[0] == len(counts):
        return counts
    merged, rows = ImageCounts(counts.num_classes), counts.arrays()
    members = counts.members()
    for start in range(0, max(keep), _GATHER):
        stop = max(start, min(start + _GATHER, keep[get_rank()]))
        mine = (np.array(rows[start:stop]), [next(members) for _ in range(start, stop)])
        pieces = all_gather_object(mine)
        if not is_main_process():
            continue
        for index in range(_GATHER):
            for numbers, labels in pieces:
                if index < len(numbers):
                    tp, pred, label = numbers[index]
                    merged.append(tp, pred, label, *labels[index])
    counts.close()
    return merged
