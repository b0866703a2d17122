"""Base class of the metrics that compare a predicted label map with the ground truth."""

from collections.abc import Collection, Sequence
from typing import Any, Optional

import numpy as np
from mmengine.evaluator import BaseMetric
from torch import Tensor

from ..core.files import name_below
from ..core.labels import IGNORE
from ..core.progress import tell_result
from .confusion import nanmean
from .intervals import Interval, brackets, mean_interval
from .units import Units, choose_units, units_note


class LabelMapMetric(BaseMetric):
    """Metric that scores images one by one; a subclass defines :meth:`score` and the average.

    Args:
        ignore_index: Label of ignored pixels; None takes ``ignore_index`` of the data set's meta
            information, or 255 if it has none.
        kwargs: Arguments of mmengine's ``BaseMetric``.

    Attributes:
        intervals: Set by ``evaluate`` on the main process: the interval of each score that has one,
            as fractions or in the unit of a length.
    """

    def __init__(self, *, ignore_index: Optional[int] = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_index = ignore_index
        self.intervals: dict[str, Interval] = {}
        self.image_folders: Sequence[str] = ()  # of the data set; a test tells them

    @property
    def needs_logits(self) -> bool:
        """Whether the metric reads ``seg_logits``, so that labels alone are not enough."""
        return False

    @property
    def ignored(self) -> int:
        """Label of pixels that do not count."""
        if self.ignore_index is not None:
            return self.ignore_index
        return int((self.dataset_meta or {}).get('ignore_index', IGNORE))

    @property
    def class_names(self) -> list[str]:
        """Names of the classes.

        Raises:
            ValueError: If the data set has no class names.
        """
        classes = (self.dataset_meta or {}).get('classes')
        if not classes:
            raise ValueError(
                f'{type(self).__name__} needs the class names: the data set has no '
                'METAINFO["classes"]; set metainfo=dict(classes=...) in its config'
            )
        return [str(name) for name in classes]

    def image_name(self, path: str) -> str:
        """Name an image: its path below one of ``image_folders``, else its file name."""
        return name_below(path, self.image_folders)

    def units_of(self, names: Collection[str], groups: Optional[Sequence[Optional[str]]]) -> Units:
        """Choose the units of confidence intervals, see :func:`choose_units`.

        Args:
            names: File names of the images.
            groups: Group of each image; unused if some image has none.
        """
        meta = self.dataset_meta or {}
        known = [str(group) for group in groups or () if group is not None]
        return choose_units(
            names,
            known if known and len(known) == len(names) else None,
            group_unit=str(meta.get('group_unit') or 'group'),
            video_pattern=meta.get('video_pattern'),
        )

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score one batch.

        Args:
            data_batch: Unused.
            data_samples: For each image a mapping with ``pred_sem_seg.data`` and
                ``gt_sem_seg.data``, both ``(1, H, W)``.

        Raises:
            ValueError: If prediction and label map differ in size; the message names the image.
        """
        for sample in data_samples:
            pred = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()
            label = sample['gt_sem_seg']['data'].squeeze(0).cpu().numpy()
            path = str(sample.get('img_path') or f'image {len(self.results)}')
            try:
                scores = self.score(pred, label)
            except ValueError as error:
                raise ValueError(f'{path}: {error}') from None
            self.results.append((self.image_name(path), sample.get('group'), scores))

    def score(self, pred_HW: np.ndarray, label_HW: np.ndarray) -> Any:
        """Return the scores of one image, to be gathered from all processes."""
        raise NotImplementedError

    def report_means(
        self,
        results: Sequence[tuple],
        values: dict[str, np.ndarray],
        *,
        lengths: Sequence[str] = (),
    ) -> dict[str, float]:
        """Average scores over images, and print the means over classes with their intervals.

        Args:
            results: Name, group and scores of each image.
            values: Value of each score in each image, ``(N,)``, by name; NaN is left out. A name
                with a dot is a score of one class.
            lengths: Names of scores that are lengths; all others are fractions.

        Returns:
            The means, with fractions in per cent.
        """
        units = self.units_of(*zip(*[(name, group) for name, group, *_ in results]))
        report, lines = {}, []
        for name, of_images in values.items():
            is_length = name.split('.')[0] in lengths
            ends = mean_interval(of_images, groups=units.groups, bounded=not is_length)
            self.intervals[name], scale = ends, 1 if is_length else 100
            report[name] = scale * float(nanmean(of_images))
            if '.' not in name:
                lines.append(f'{name} {report[name]:.2f}{brackets(ends, scale)}')
        tell_result(f'{", ".join(lines)}. {units_note(units.facts)}')
        return report


def most_probable(
    prob_KHW: Tensor, label_HW: Tensor, ignore_index: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Take the most probable class of each pixel.

    Args:
        prob_KHW: Probability of each class.
        label_HW: True class ids.
        ignore_index: Label of ignored pixels.

    Returns:
        The class's probability, the class, and whether the pixel counts, each ``(H, W)``.

    Raises:
        ValueError: If the sizes differ.
    """
    if prob_KHW.shape[1:] != label_HW.shape:
        raise ValueError(
            f'probabilities {tuple(prob_KHW.shape)} and label map {tuple(label_HW.shape)} differ '
            'in size'
        )
    confidence, guess = prob_KHW.max(0)
    return confidence, guess, label_HW != ignore_index
