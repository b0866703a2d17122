"""The registered metric of errors by object size and distance to the border, and of thresholds.

Source: our own; the numbers come from ``objects.py``, ``border_bands.py`` and ``thresholds.py``.
All counts are sums over images, so memory does not grow with their number.
"""

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
from mmengine.dist import all_gather_object, get_rank
from mmseg.registry import METRICS

from ..core.labels import background_of
from ..core.probabilities import as_probabilities
from .border_bands import EDGES, band_counts
from .image_counts import images_to_keep
from .label_map_metric import LabelMapMetric
from .objects import FIELDS, SIDES, object_counts
from .thresholds import score_histogram, summary_of

VERSION = 1


@METRICS.register_module()
class DetailMetric(LabelMapMetric):
    """Count objects by size, pixels by distance to a border and, of two classes, scores.

    It reports no score, so ``evaluate`` returns nothing; :meth:`summary` has the counts.

    Args:
        curves_only: Count the scores alone.
        ignore_index: Label of ignored pixels; None takes ``ignore_index`` of the data set's meta
            information, or 255 if it has none.
        collect_device: As in mmengine's metrics.
        prefix: As in mmengine's metrics.
    """

    def __init__(
        self,
        *,
        curves_only: bool = False,
        ignore_index: Optional[int] = None,
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
    ) -> None:
        super().__init__(ignore_index=ignore_index, collect_device=collect_device, prefix=prefix)
        self.curves_only = curves_only
        self.counts: dict[str, np.ndarray] = {}
        self._last: dict[str, np.ndarray] = {}
        self._length = 0

    @property
    def needs_logits(self) -> bool:
        """Whether ``seg_logits`` are read: for the curves of two classes."""
        return self.positive is not None

    @property
    def positive(self) -> Optional[int]:
        """Index of the positive one of two classes, that which is no background, else the second.

        ``None`` if there are more or fewer classes.
        """
        names = self.class_names
        if len(names) != 2:
            return None
        return 0 if background_of(names) == 1 else 1

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count one batch.

        Args:
            data_batch: Unused.
            data_samples: For each image a mapping with ``pred_sem_seg.data`` and
                ``gt_sem_seg.data``, both ``(1, H, W)``, and ``seg_logits.data`` ``(K, H, W)`` for
                the curves, which are left out where a model gives none.
        """
        for sample in data_samples:
            self._last = self._count(sample)
            self._length += 1
            for name, part in self._last.items():
                self.counts[name] = self.counts.get(name, 0) + part

    def _count(self, sample: dict) -> dict[str, np.ndarray]:
        found = {}
        label = sample['gt_sem_seg']['data'].squeeze(0)
        if self.positive is not None and 'seg_logits' in sample:
            logits = sample['seg_logits']['data']
            truth = label.to(logits.device)
            known = truth != self.ignored
            prob = as_probabilities(logits)[self.positive]
            found['scores'] = score_histogram(prob, truth == self.positive, known)
        if self.curves_only:
            return found
        pred = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()
        truth = label.cpu().numpy()
        of: dict = dict(ignore_index=self.ignored)
        found['objects'] = object_counts(pred, truth, len(self.class_names), **of)
        found['borders'] = band_counts(pred, truth, **of)
        return found

    def evaluate(self, size: int) -> dict:
        """Sum the counts of all ranks, into :attr:`counts` on each.

        Args:
            size: Number of images in the data set; repetitions by the sampler are not counted.
        """
        lengths = all_gather_object(self._length)
        own = self.counts
        if images_to_keep(lengths, size)[get_rank()] < self._length:
            own = {name: part - self._last[name] for name, part in own.items()}
        parts = all_gather_object(own)
        names = dict.fromkeys(name for part in parts for name in part)
        self.counts = {name: sum(p[name] for p in parts if name in p) for name in names}
        self._last, self._length = {}, 0
        return {}

    def compute_metrics(self, results: list) -> dict:
        """Unused: :meth:`evaluate` does it."""
        return {}

    def summary(self, chosen: Optional[float] = None) -> dict[str, Any]:
        """Describe the counts as JSON data.

        Args:
            chosen: Threshold that was chosen on the validation images.
        """
        found: dict[str, Any] = dict(version=VERSION, classes=self.class_names)
        if 'objects' in self.counts:
            found['objects'] = dict(
                sides=list(SIDES), fields=list(FIELDS), counts=self.counts['objects'].tolist()
            )
        if 'borders' in self.counts:
            found['borders'] = dict(edges=list(EDGES), counts=self.counts['borders'].tolist())
        if 'scores' in self.counts and self.positive is not None:
            curves = summary_of(self.counts['scores'], chosen)
            found['thresholds'] = dict(positive=self.class_names[self.positive], **curves)
        return found
