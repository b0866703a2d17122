"""Read the results of the tested folds of a cross validation, and check that they fit together.

Shape letters: N image, K class, C foreground class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from ...core.files import PathLike
from ...evaluation.image_counts import read_counts
from ..run.folder import RunFolder
from ..run.outcome.results import RunResults
from .fold import Split, read_split

_SHARED = ('num_folds', 'split_seed', 'pool', 'splitter')  # the same in all folds of one run


@dataclass
class FoldResult:
    """The results of a tested fold. All arrays list the images in the order of ``val_ids``.

    Args:
        split: How the images of the fold were chosen.
        results: Results of the fold's test.
        tp: True-positive pixels, ``(N, K)``.
        pred: Predicted pixels, ``(N, K)``.
        label: Labelled pixels, ``(N, K)``.
        surfaces: ``hd95`` and ``surface_dice`` ``(N, C)``, ``spacing`` and ``tolerance``; ``None``
            if they were not measured.
    """

    split: Split
    results: RunResults
    tp: np.ndarray
    pred: np.ndarray
    label: np.ndarray
    surfaces: Optional[dict[str, np.ndarray]] = None

    @property
    def units(self) -> list[str]:
        """Group of each image, or its id where there are no groups."""
        return self.split.val_groups or self.split.val_ids


def read_fold(folder: RunFolder) -> FoldResult:
    """Read a tested fold.

    Raises:
        FileNotFoundError: If the fold was not tested.
        ValueError: If the counts per image do not belong to the fold's images.
    """
    split, results = read_split(folder.path), folder.results()
    counts_file = folder.counts_file()
    if not counts_file.is_file():
        raise FileNotFoundError(f'{counts_file} does not exist: test the fold with SegMetric')
    counts = read_counts(counts_file)
    _check_names(counts.names, split.val_ids, counts_file)
    tp, pred, label = np.moveaxis(counts.rows, 1, 0)
    surfaces = None
    if folder.surface_file.is_file():
        with np.load(folder.surface_file) as file:
            _check_names(file['names'], split.val_ids, folder.surface_file)
            surfaces = {name: file[name] for name in file.files}
    return FoldResult(split, results, tp, pred, label, surfaces)


def _check_names(names: np.ndarray, ids: Sequence[str], path: Path) -> None:
    """Refuse a file whose image names do not match the fold's ids in order."""
    bases = [name.rsplit('/', 1)[-1] for name in ids]  # older tests knew no folders
    if len(names) != len(ids) or not all(
        str(name).startswith((own, base)) for name, own, base in zip(names, ids, bases)
    ):
        raise ValueError(f'{path} is of other images than the fold: test the fold again')


def read_folds(work_dir: PathLike) -> list[FoldResult]:
    """Read the tested folds of a cross validation, in order.

    Raises:
        FileNotFoundError: If no fold was tested.
        ValueError: If the folds belong to different splits, or two folds hold out the same image.
    """
    folders = RunFolder(work_dir).tested_folds()
    folds = sorted(map(read_fold, folders), key=lambda fold: fold.split.fold)
    if not folds:
        raise FileNotFoundError(f'{work_dir} holds no tested fold (fold*/results.json)')
    for key in _SHARED:
        values = {getattr(fold.split, key) for fold in folds}
        if len(values) > 1:
            raise ValueError(f'{work_dir} holds folds of different splits: {key} is {values}')
    ids = [name for fold in folds for name in fold.split.val_ids]
    if len(set(ids)) < len(ids):
        raise ValueError(f'{work_dir} holds folds that share held-out images: run them anew')
    return folds
