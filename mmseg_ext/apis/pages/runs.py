"""Read tested runs for a page, and sort the runs of a row into replicas.

The runs of a row are seeds tested on the same images, folds tested on different images, or both. A
*replica* is a list of runs that together cover the test images once. Shape letters: N image, K
class, M bin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Optional

import numpy as np
from mmengine.config import Config

from ...core.files import PathLike
from ...evaluation.calibration_metric import PARTS
from ...evaluation.confusion import counts_from_confusion
from ...evaluation.image_counts import read_counts
from ..draw.curves import Curve, read_curves
from ..folds.fold import read_split
from ..run.folder import RunFolder
from ..run.outcome.results import RunResults


@dataclass
class Counts:
    """Pixel counts of each image and class.

    Args:
        names: File names of the images, ``(N,)``.
        rows: True-positive, predicted and labelled pixels of each image, ``(N, 3, K)``.
        groups: Group of each image, such as the patient; ``None`` if the data set has no groups.
        histograms: Confidence histograms of the calibration, ``(N, 3, M)``, if there are any.
    """

    names: np.ndarray
    rows: np.ndarray
    groups: Optional[np.ndarray] = None
    histograms: Optional[np.ndarray] = None

    def take(self, order: np.ndarray) -> 'Counts':
        """Return the counts of the images with these indices, in this order."""
        return Counts(
            self.names[order],
            self.rows[order],
            None if self.groups is None else self.groups[order],
            None if self.histograms is None else self.histograms[order],
        )


@dataclass
class RunFiles:
    """A work folder with its results and, if it has them, the counts of each image."""

    folder: Path
    results: RunResults
    counts: Optional[Counts]

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """The curves that the training logged."""
        return read_curves(RunFolder(self.folder).curve_files())

    @cached_property
    def cfg(self) -> Optional[Config]:
        """Config of the test; ``None`` if the folder holds no config."""
        return RunFolder(self.folder).tested_config(self.results.config)

    @property
    def classes(self) -> list[str]:
        """Class names in the order of their indices."""
        return self.results.classes


def read_run(folder: PathLike) -> RunFiles:
    """Read a tested run.

    Raises:
        FileNotFoundError: If the run was not tested.
        ValueError: If its counts and its results are from different tests.
    """
    place = RunFolder(folder)
    results = place.results()
    run = RunFiles(place.path, results, _read_counts(place))
    if run.counts is not None:
        expected = np.stack(counts_from_confusion(results.matrix))
        if not np.array_equal(run.counts.rows.sum(0), expected):
            raise ValueError(
                f'{folder}: {place.counts_file().name} and {place.results_file().name} are of '
                'different tests: test again'
            )
    return run


def _read_counts(folder: RunFolder) -> Optional[Counts]:
    path = folder.counts_file()
    if not path.is_file():
        return None
    names, rows, groups = read_counts(path)
    counts = Counts(names, rows, groups)
    if groups is None:
        counts.groups = _groups_of_fold(folder, counts.names)
    counts.histograms = _read_histograms(folder, counts.names)
    # Sorted by name, so that rows can be compared image by image.
    unique = len(np.unique(counts.names)) == len(counts.names)
    return counts.take(np.argsort(counts.names)) if unique else counts


def _groups_of_fold(folder: RunFolder, names: np.ndarray) -> Optional[np.ndarray]:
    """Return the groups from a fold's ``split.json``, for tests that did not write groups."""
    groups = read_split(folder.path).val_groups if folder.split_file.is_file() else None
    return None if groups is None or len(groups) != len(names) else np.array(groups, str)


def _read_histograms(folder: RunFolder, names: np.ndarray) -> Optional[np.ndarray]:
    path = folder.calibration_file
    if not path.is_file():
        return None
    with np.load(path) as file:
        same = np.array_equal(file['names'], names)
        return np.stack([file[part] for part in PARTS], axis=1) if same else None


def folders_of(runs: Sequence[RunFiles]) -> str:
    """List the folders of runs for a message."""
    return ', '.join(str(run.folder) for run in runs)


def replicas_of(runs: Sequence[RunFiles], label: str) -> tuple[list[list[RunFiles]], str]:
    """Sort runs into replicas by the images that they were tested on.

    Args:
        runs: Runs of one row. All folds must list their seeds in the same order.
        label: Label of the row, for messages.

    Returns:
        The replicas, and a note if some runs fit into no replica; else ``''``.

    Raises:
        ValueError: If two runs share some test images and differ in others, or were tested on the
            same images with other masks.
    """
    parts: dict[tuple, list[RunFiles]] = {}
    for run in runs:
        names = (None,) if run.counts is None else tuple(run.counts.names.tolist())
        parts.setdefault(names, []).append(run)
    every = [name for part in parts for name in set(part)]
    if len(set(every)) < len(every):
        raise ValueError(
            f'{label}: its runs share some test images and differ in others, so they are neither '
            f'seeds nor folds of one test: {folders_of(runs)}'
        )
    for members in parts.values():
        _check_masks(members, label)
    complete = min(map(len, parts.values()))
    spare = sum(len(members) - complete for members in parts.values())
    note = f'{spare} runs left out: other folds of their seed are missing' if spare else ''
    return [[members[index] for members in parts.values()] for index in range(complete)], note


def _check_masks(runs: Sequence[RunFiles], label: str) -> None:
    labels = [run.counts.rows[:, 2] for run in runs if run.counts is not None]
    if not all(np.array_equal(labels[0], other) for other in labels[1:]):
        raise ValueError(
            f'{label}: its runs were tested against different masks of the same images, so they '
            f'have no mean: test them again: {folders_of(runs)}'
        )


def joined(replica: Sequence[RunFiles]) -> Counts:
    """Join the counts of a replica's folds, sorted by image name."""
    counts = [run.counts for run in replica if run.counts is not None]
    if len(counts) == 1:
        return counts[0]
    together = Counts(
        np.concatenate([part.names for part in counts]),
        np.concatenate([part.rows for part in counts]),
        _all_or_none([part.groups for part in counts]),
        _all_or_none([part.histograms for part in counts]),
    )
    return together.take(np.argsort(together.names, kind='stable'))


def _all_or_none(arrays: Sequence[Optional[np.ndarray]]) -> Optional[np.ndarray]:
    """Concatenate arrays; ``None`` if one is missing."""
    known = [array for array in arrays if array is not None]
    return np.concatenate(known) if len(known) == len(arrays) else None
