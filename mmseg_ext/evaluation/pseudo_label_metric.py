"""Pseudo labels on images whose labels are known: how many are taken, and how many are right.

Source: coverage and precision as FixMatch, https://arxiv.org/abs/2001.07685, section 2.2, takes
pseudo labels: those of probability ``threshold`` or more.
Differs from it: measured on the whole validation images, because unlabelled images have no labels
to measure by. They pass the network once, for all metrics together.
Shape letters: K class, H row, W column.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from mmseg.registry import METRICS
from torch import Tensor

from ..core.labels import IGNORE, PSEUDO_THRESHOLD
from ..core.probabilities import as_probabilities
from ..core.progress import tell_result
from .label_map_metric import LabelMapMetric, most_probable


class PseudoCount(NamedTuple):
    """Pixels of an image that have a label, pseudo labels among them, and right ones of these."""

    labelled: int
    taken: int
    right: int


def count_pseudo_labels(
    prob_KHW: Tensor, label_HW: Tensor, *, threshold: float, ignore_index: int = IGNORE
) -> PseudoCount:
    """Count the pseudo labels of an image.

    Args:
        prob_KHW: Probability of each class.
        label_HW: True class ids.
        threshold: Least probability of a pseudo label; with 0 every pixel has one.
        ignore_index: Label of pixels that do not count.

    Raises:
        ValueError: If the sizes differ.
    """
    confidence, guess, valid = most_probable(prob_KHW, label_HW, ignore_index)
    taken = valid & (confidence >= threshold)
    right = taken & (guess == label_HW)
    return PseudoCount(int(valid.sum()), int(taken.sum()), int(right.sum()))


@METRICS.register_module()
class PseudoLabelMetric(LabelMapMetric):
    """Report ``pseudo/coverage`` and ``pseudo/precision`` in per cent, over all pixels of a split.

    Coverage is the share of labelled pixels that get a pseudo label, precision the share of right
    ones among these, NaN where there is none. It belongs in the ``val_evaluator`` of a
    semi-supervised run, and names no classes.

    Args:
        threshold: Least probability of a pseudo label; ``None`` takes the segmentor's, which a
            ``SemiSegmentor`` puts into what it predicts.
        ignore_index: Label of ignored pixels; None takes ``ignore_index`` of the data set's meta
            information, or 255 if it has none.
        collect_device: As for mmengine's metrics.
        prefix: Prefix of the score names.

    Raises:
        ValueError: If ``threshold`` lies outside of [0, 1].
    """

    default_prefix = 'pseudo'

    def __init__(
        self,
        *,
        threshold: Optional[float] = None,
        ignore_index: Optional[int] = None,
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
    ) -> None:
        super().__init__(ignore_index=ignore_index, collect_device=collect_device, prefix=prefix)
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f'threshold must lie in [0, 1], got {threshold}')
        self.threshold = threshold

    @property
    def needs_logits(self) -> bool:
        """Whether ``seg_logits`` are read: always."""
        return True

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count one batch.

        Args:
            data_batch: Unused.
            data_samples: For each image a mapping with ``seg_logits.data`` ``(K, H, W)`` and
                ``gt_sem_seg.data`` ``(1, H, W)``.

        Raises:
            ValueError: If a sample has no logits, no threshold is known, or the sizes differ; the
                message names the image.
        """
        for sample in data_samples:
            path = str(sample.get('img_path') or f'image {len(self.results)}')
            try:
                self.results.append((self.image_name(path), self._count(sample)))
            except ValueError as error:
                raise ValueError(f'{path}: {error}') from None

    def _count(self, sample: dict) -> PseudoCount:
        threshold = sample.get(PSEUDO_THRESHOLD) if self.threshold is None else self.threshold
        if threshold is None:
            raise ValueError(
                'PseudoLabelMetric knows no threshold, because the model is no SemiSegmentor: set '
                'threshold, or leave the metric out'
            )
        if 'seg_logits' not in sample:
            raise ValueError('PseudoLabelMetric needs seg_logits, and the model gave none')
        logits = sample['seg_logits']['data']
        label = sample['gt_sem_seg']['data'].squeeze(0).to(logits.device)
        return count_pseudo_labels(
            as_probabilities(logits), label, threshold=threshold, ignore_index=self.ignored
        )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Add up the images on the main process.

        Args:
            results: Name and counts of each image.

        Returns:
            ``coverage`` and ``precision`` in per cent.
        """
        labelled, taken, right = (sum(part) for part in zip(*(count for _, count in results)))
        found = dict(coverage=_percent(taken, labelled), precision=_percent(right, taken))
        those = f', and {found["precision"]:.2f} % of these are right' if taken else ''
        share = f'{found["coverage"]:.2f} % of the pixels get one'
        tell_result(f'pseudo labels: {share}{those}')
        return found


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else float('nan')
