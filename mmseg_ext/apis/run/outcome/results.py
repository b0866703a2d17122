"""The results of a test, and how they are read from and written to ``results.json``.

The metric writes its scores into the file, and the test adds the facts of the run. Older files,
which have no ``version``, can be read too. All scores are fractions. Shape letter: K class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np
from mmengine.config import Config

from ....core.files import PathLike, read_json, write_json
from ...config.renamed import today_config
from .check import NEEDED, check_results
from .old import renew_intervals

VERSION = 1
# The entries that tell how a run came about.
RUN_FACTS = (
    'config',
    'init',
    'converted',
    'seed',
    'iterations',
    'commit',
    'dirty',
    'hardware',
    'torch',
    'stack',
    'date',
)


class Score(NamedTuple):
    """A score and the ends of its interval; ``None`` if it is undefined or has no interval."""

    value: Optional[float]
    low: Optional[float] = None
    high: Optional[float] = None


@dataclass(frozen=True)
class DataFacts:
    """The data of a test: class of the data set, split, images; ``None`` where unknown."""

    name: Optional[str] = None
    split: Optional[str] = None
    num_images: Optional[int] = None


@dataclass(frozen=True)
class RunResults:
    """Scores of one test, and how the run came about. The fields are the entries of the file.

    Example::

        results = RunFolder('work_dirs/a').results()
        print(results.seed, results.per_class['IoU'])

    Args:
        metrics: Score of each name.
        per_class: Value of each class, for each kind of score.
        per_class_intervals: Low and high end of each class's interval, for each kind of score.
        intervals: The units that the intervals are over, see
            ``evaluation.units.describe_units``; empty if there are no intervals, or if an older
            version computed them.
        absent_classes: Classes without a labelled pixel in the test images.
        absent_policy: How absent classes count in the means.
        confusion: Pixel counts ``(K, K)``, a row for each true class; empty for other metrics
            than ours.
        num_images: Number of test images.
        dataset: Name, split and size of the test set.
        calibration: Bins and error that a ``CalibrationMetric`` counted.
        config: Name of the config.
        init: Weights that the training started from.
        converted: Origin of the weights, or of the start weights, if others trained them.
        seed: Seed of the training.
        iterations: Number of training iterations.
        commit: Commit of the package; ``dirty`` says whether it had uncommitted changes.
        hardware: Machine that the test ran on.
        torch: Version of torch.
        stack: Distributions of mmengine, mmcv and mmseg that the test ran on, with versions.
        date: Day of the test.
        checkpoint: Name of the tested file. It is written last, so an interrupted test has none.
        extra: All other entries of the file, such as the fold of a cross validation.
        version: Version of the file format; 0 if the file has none.
    """

    metrics: dict[str, Score]
    per_class: dict[str, dict[str, Optional[float]]] = field(default_factory=dict)
    per_class_intervals: dict[str, dict[str, list]] = field(default_factory=dict)
    intervals: dict[str, Any] = field(default_factory=dict)
    absent_classes: list[str] = field(default_factory=list)
    absent_policy: str = 'skip'
    confusion: list[list[int]] = field(default_factory=list)
    num_images: Optional[int] = None
    dataset: DataFacts = DataFacts()
    calibration: Optional[dict[str, Any]] = None
    config: Optional[str] = None
    init: Optional[str] = None
    converted: Optional[dict[str, Any]] = None
    seed: Optional[int] = None
    iterations: Optional[int] = None
    commit: Optional[str] = None
    dirty: Optional[bool] = None
    hardware: Optional[str] = None
    torch: Optional[str] = None
    stack: Optional[str] = None
    date: Optional[str] = None
    checkpoint: Optional[str] = None
    extra: dict[str, Any] = field(default_factory=dict)
    version: int = VERSION

    @classmethod
    def read(
        cls, path: PathLike, *, counts: Optional[PathLike] = None, needed: Sequence[str] = NEEDED
    ) -> 'RunResults':
        """Read a file of results of any version.

        Args:
            path: The file.
            counts: File of the counts of each image, from which older intervals are computed again.
            needed: Entries that must be there.

        Raises:
            FileNotFoundError: If it is not there.
            ValueError: If it is damaged, lacks an entry, or is of a later version than this.
        """
        content = read_json(path)
        check_results(content, path, needed)
        if (content.get('version') or 0) > VERSION:
            raise ValueError(
                f'{path} is of version {content["version"]}, and {VERSION} is the last one that '
                'this mmseg_ext reads: update it'
            )
        return cls.from_content(content if counts is None else renew_intervals(content, counts))

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> 'RunResults':
        """Make results from checked entries; an entry that is ``None`` counts as missing."""
        known = {item.name for item in fields(cls)} - {'extra'}
        given = {k: v for k, v in content.items() if k in known and v is not None}
        metrics, data = content.get('metrics') or {}, content.get('dataset') or {}
        given['metrics'] = {name: _score(entry) for name, entry in metrics.items()}
        given['dataset'] = DataFacts(data.get('name'), data.get('split'), data.get('num_images'))
        given['version'] = content.get('version') or 0
        if not given['version']:
            given['config'] = today_config(given.get('config'))
        return cls(**given, extra={k: v for k, v in content.items() if k not in known})

    def as_content(self) -> dict[str, Any]:
        """Return the entries of a file of the current version, without those that are empty."""
        content = {item.name: getattr(self, item.name) for item in fields(self)}
        extra = content.pop('extra')
        content['version'] = VERSION
        for name in ('per_class', 'per_class_intervals', 'intervals', 'confusion', 'calibration'):
            if not content[name]:
                del content[name]
        content['metrics'] = {name: score._asdict() for name, score in self.metrics.items()}
        content['dataset'] = asdict(self.dataset)
        return {**extra, **content}

    def write(self, path: PathLike) -> Path:
        """Write the file, whole or not at all.

        Raises:
            ValueError: If a number is NaN or infinite.
        """
        return write_json(path, self.as_content())

    @property
    def classes(self) -> list[str]:
        """Class names in the order of their indices, K of them."""
        return list(self.per_class['IoU'])

    @property
    def matrix(self) -> np.ndarray:
        """The confusion matrix, ``(K, K)`` int64."""
        return np.asarray(self.confusion, np.int64)

    @property
    def labelled(self) -> Optional[tuple[int, ...]]:
        """Labelled pixels of each class; ``None`` without a confusion matrix.

        Tests on equal images and masks have equal ones, whatever was predicted.
        """
        return tuple(self.matrix.sum(axis=1).tolist()) if self.confusion else None

    def value(self, metric: str) -> Optional[float]:
        """Return a score, or ``ECE``; ``None`` if it is undefined or was not computed."""
        if metric == 'ECE' and metric not in self.metrics:
            return (self.calibration or {}).get(metric)
        return self.metrics.get(metric, Score(None)).value

    def facts(self) -> dict[str, Any]:
        """Return how the run came about: the entries of ``RUN_FACTS``."""
        return {name: getattr(self, name) for name in RUN_FACTS}

    def described(self, cfg: Optional[Config]) -> DataFacts:
        """Describe the test set; facts that the results lack are taken from the config."""
        dataset = cfg.test_dataloader.dataset if cfg is not None else {}
        prefix = dataset.get('data_prefix') or {}
        split = Path(dataset.get('ann_file') or prefix.get('img_path') or '').stem
        said = self.dataset
        return DataFacts(
            said.name or dataset.get('type'),
            said.split or split or None,
            said.num_images or self.num_images,
        )

    def constant_miou(self) -> Optional[float]:
        """Compute the mIoU of predicting the most frequent class everywhere, on the same pixels.

        The IoU of that class is its share of the pixels; every other class that occurs has 0.
        ``None`` if there are no labelled pixels.
        """
        labelled = self.matrix.sum(axis=1)
        if not labelled.sum():
            return None
        return float(labelled.max() / labelled.sum() / np.count_nonzero(labelled))


def _score(entry: Mapping[str, Any]) -> Score:
    return Score(entry['value'], entry.get('low'), entry.get('high'))


def converted_note(converted: Optional[Mapping[str, Any]]) -> Optional[str]:
    """Say whose weights a run used; ``None`` if no weights were converted.

    Args:
        converted: The entry ``converted`` of :class:`RunResults`.
    """
    if converted is None:
        return None
    return f'{converted["file"]} of {converted["origin"]}, training not reproduced'
