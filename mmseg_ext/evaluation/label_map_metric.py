"""What the metrics that compare a predicted label map with the truth share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
from mmengine.evaluator import BaseMetric


class LabelMapMetric(BaseMetric):
    """Score images one by one; a subclass defines :meth:`score` and averages its results.

    Args:
        ignore_index: Label of pixels that do not count; None takes ``ignore_index`` of the data
            set's meta information, and 255 if it has none.
        kwargs: Arguments of mmengine's ``BaseMetric``.
    """

    def __init__(self, *, ignore_index: Optional[int] = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_index = ignore_index

    @property
    def ignored(self) -> int:
        """Label of pixels that do not count."""
        if self.ignore_index is not None:
            return self.ignore_index
        return int((self.dataset_meta or {}).get('ignore_index', 255))

    @property
    def class_names(self) -> list[str]:
        """Names of the classes.

        Raises:
            ValueError: If the data set gives none.
        """
        classes = (self.dataset_meta or {}).get('classes')
        if not classes:
            raise ValueError(
                f'{type(self).__name__} needs the class names: the data set has no '
                'METAINFO["classes"]; set metainfo=dict(classes=...) in its config'
            )
        return [str(name) for name in classes]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score one batch.

        Args:
            data_batch: Unused.
            data_samples: For each image a mapping with ``pred_sem_seg.data`` and
                ``gt_sem_seg.data``, both ``(1, H, W)``.

        Raises:
            ValueError: If prediction and label map differ in size; it names the image.
        """
        for sample in data_samples:
            pred = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()
            label = sample['gt_sem_seg']['data'].squeeze(0).cpu().numpy()
            path = str(sample.get('img_path') or f'image {len(self.results)}')
            try:
                self.results.append((Path(path).name, self.score(pred, label)))
            except ValueError as error:
                raise ValueError(f'{path}: {error}') from None

    def score(self, pred_HW: np.ndarray, label_HW: np.ndarray) -> Any:
        """Return the scores of one image; they are gathered from all processes."""
        raise NotImplementedError
