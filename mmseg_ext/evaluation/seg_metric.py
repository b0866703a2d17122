"""The registered segmentation metric: it counts pixels, gathers counts and reports scores.

Source: our own, in place of mmseg's ``IoUMetric``; the numbers come from ``confusion.py``.
Differs from ``IoUMetric``: counts are integers, nothing is rounded, recall is reported as mPA (and
mAcc), scores have confidence intervals over images, and an image that a distributed sampler repeats
is counted once. Shape letter: K classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from mmengine.dist import (
    all_gather_object,
    all_reduce,
    broadcast_object_list,
    get_rank,
    is_main_process,
)
from mmengine.logging import print_log
from mmseg.registry import METRICS
from PIL import Image

from ..core.files import replacing, write_csv, write_json
from ..core.progress import tell_result
from ..core.words import check_choice
from .batch_f_score import f_score_from_sums, f_score_sums
from .confusion import ABSENT, confusion_matrix, counts_from_confusion
from .image_counts import ImageCounts, images_to_keep, merge_ranks
from .image_table import image_table
from .intervals import score_intervals
from .label_map_metric import LabelMapMetric
from .summary import class_table, mean_table, summary
from .units import group_in


@METRICS.register_module()
class SegMetric(LabelMapMetric):
    """Sum the confusion matrices of all images and report the usual scores.

    ``evaluate`` returns per cent, unrounded: aAcc, mIoU, mPA, mAcc (= mPA), mPrecision, mF1, mDice
    and FWIoU; ``background_index`` and ``batch_f_score`` add further scores.

    Args:
        ignore_index: Label of ignored pixels; None takes ``ignore_index`` of the data set's meta
            information, or 255 if it has none.
        absent: Value of a score of 0 / 0: ``'skip'``, ``'zero'`` or ``'one'``; see
            ``confusion.py``.
        group_pattern: Regular expression for images that are not independent, such as slices of a
            patient. Its match in the name of an image (group 1 if there is one) is the group;
            intervals are then over groups. Without a pattern, samples with a ``group`` use that.
            Otherwise a data set with a ``video_pattern`` is grouped by video, if it has three or
            more.
        unit: Name of the kind of group, such as ``'patient'``; None takes ``group_unit`` of the
            data set.
        background_index: Also report mPA_no_bg and mPrecision_no_bg without this class.
        batch_f_score: Also report ``batch_f_score`` as the reference repositories print it (see
            ``batch_f_score.py``): computed from the logits, mean over batches.
        per_image_file: File (``.npz``) for the counts of each image; None writes nothing.
        table_file: File (``.csv``) for the scores of each image; None writes nothing.
        summary_file: File (``.json``) for the summary; None writes nothing.
        extra: Further top-level entries of the summary.
        output_dir: Folder for predicted label maps (PNG), as in mmseg. A map has the name of its
            image; ``output_names`` of the metric overrides it where two images would share a name.
        format_only: Only write these maps; ground truth is not needed.
        pred_field: Name of the prediction to score in a sample, such as ``'pred_sem_seg_nocrf'``
            for the prediction before a CRF.
        collect_device: Accepted for mmseg's configs; counts are gathered by the process group's
            backend.
        prefix: Prefix of the score names.

    Raises:
        ValueError: If an argument is out of range, or label maps and predictions do not fit.
    """

    # Removed arguments of older configs and what to use instead.
    REMOVED = dict.fromkeys(
        ('num_resamples', 'seed'), 'intervals are computed without resamples; take it out'
    )

    def __init__(
        self,
        ignore_index: Optional[int] = None,
        *,
        absent: str = 'skip',
        group_pattern: Optional[str] = None,
        unit: Optional[str] = None,
        background_index: Optional[int] = None,
        batch_f_score: bool = False,
        per_image_file: Optional[str] = None,
        table_file: Optional[str] = None,
        summary_file: Optional[str] = None,
        extra: Optional[dict] = None,
        output_dir: Optional[str] = None,
        format_only: bool = False,
        pred_field: str = 'pred_sem_seg',
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
    ) -> None:
        super().__init__(ignore_index=ignore_index, collect_device=collect_device, prefix=prefix)
        check_choice('absent', absent, ABSENT)
        if format_only and output_dir is None:
            raise ValueError('format_only=True writes label maps and needs an output_dir')
        self.absent = absent
        self.group_pattern = group_pattern
        self.unit = unit
        self.background_index = background_index
        self.batch_f_score = batch_f_score
        self.per_image_file = per_image_file
        self.table_file = table_file
        self.summary_file = summary_file
        self.extra = extra
        self.output_dir = output_dir
        self.output_names: dict[str, str] = {}  # image path -> output name without suffix
        self.format_only = format_only
        self.pred_field = pred_field
        self._reset()

    def _reset(self) -> None:
        self.results.clear()
        self._counts: Optional[ImageCounts] = None
        self._total = self._last = np.zeros((0, 0), np.int64)
        self._f_scores = np.zeros(2)  # sum over batches, number of batches
        self._last_batch = np.zeros((2, 2))

    @property
    def needs_logits(self) -> bool:
        """Whether ``seg_logits`` are read: for ``batch_f_score``."""
        return self.batch_f_score and not self.format_only

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count one batch.

        Args:
            data_batch: Unused.
            data_samples: For each image a mapping with ``pred_sem_seg.data`` and
                ``gt_sem_seg.data``, both ``(1, H, W)``, and ``seg_logits.data`` ``(K, H, W)`` for
                the f_score.

        Raises:
            ValueError: If prediction and label map of an image do not fit; the message names the
                image.
        """
        for sample in data_samples:
            if self.pred_field not in sample:
                raise ValueError(
                    f'pred_field={self.pred_field!r}: the model gave no such prediction for '
                    f'{sample.get("img_path")}; CRFEncoderDecoder does, in testing only'
                )
            pred = sample[self.pred_field]['data'].squeeze(0)
            pred = pred.long() if pred.is_floating_point() else pred  # one-channel heads
            if self.output_dir is not None:
                self._save_prediction(sample, pred)
            if not self.format_only:
                self._count(sample, pred)
        if self.batch_f_score and not self.format_only:
            self._score_batch(data_samples)

    def _count(self, sample: dict, pred: torch.Tensor) -> None:
        num_classes = len(self.class_names)
        if self._counts is None:
            self._counts = ImageCounts(num_classes)
            self._total = np.zeros((num_classes, num_classes), np.int64)
        path = str(sample.get('img_path') or f'image {len(self._counts)}')
        label = sample['gt_sem_seg']['data'].squeeze(0)
        try:
            matrix = confusion_matrix(pred, label, num_classes, self.ignored)
        except ValueError as error:
            where = sample.get('seg_map_path')
            mask = f' (mask {where})' if where else ''
            raise ValueError(f'{path}{mask}: {error}') from None
        self._total += matrix
        self._last = matrix
        name, group = self.image_name(path), sample.get('group')
        group = None if group is None else str(group)
        if self.group_pattern is not None:
            group = group_in(Path(path).name, self.group_pattern, 'group_pattern')
        self._counts.append(*counts_from_confusion(matrix), name, group)

    def _score_batch(self, data_samples: Sequence[dict]) -> None:
        # The sums are additive, so the images of a batch may differ in size.
        sums = [
            f_score_sums(
                sample['seg_logits']['data'].float().softmax(0).unsqueeze(0),
                sample['gt_sem_seg']['data'].to(sample['seg_logits']['data'].device),
                len(self.class_names),
            )
            for sample in data_samples
        ]
        # both with and without its last image, which the sampler may have repeated
        self._last_batch = np.array([_batch_score(sums), _batch_score(sums[:-1])])
        self._f_scores += self._last_batch[0]

    def _save_prediction(self, sample: dict, pred: torch.Tensor) -> None:
        ids = pred.cpu().numpy()
        if sample.get('reduce_zero_label', False):  # the ids of the data set start at 1
            ids = ids + 1
        folder = Path(str(self.output_dir))
        image = Image.fromarray(ids.astype(np.uint8 if ids.max(initial=0) < 256 else np.uint16))
        path = str(sample['img_path'])
        name = self.output_names.get(path, Path(path).stem)
        with replacing(folder / f'{name}.png') as unfinished:
            image.save(unfinished, format='PNG')

    def evaluate(self, size: int) -> dict:
        """Sum the counts of all ranks and report the scores.

        Args:
            size: Number of images in the data set; repetitions by the sampler are not counted.

        Returns:
            The same scores on every rank, in per cent.

        Raises:
            ValueError: If no image was processed, or the image counts of the ranks do not fit
                ``size``.
        """
        if self.format_only:
            print_log(f'predictions are saved to {self.output_dir}', logger='current')
            self._reset()
            return {}
        counts = self._counts or ImageCounts(len(self.class_names))
        lengths = all_gather_object(len(counts))
        if not sum(lengths):
            raise ValueError('SegMetric got no image to evaluate: is the split empty?')
        keep = images_to_keep(lengths, size)
        matrix = self._reduce(keep[get_rank()] < len(counts))
        counts = merge_ranks(counts, keep)
        reports = [self.compute_metrics([matrix, counts]) if is_main_process() else None]
        broadcast_object_list(reports)
        counts.close()
        self._reset()
        return reports[0] or {}

    def _reduce(self, drop_last: bool) -> np.ndarray:
        num_classes = len(self.class_names)
        total = self._total if self._total.size else np.zeros((num_classes,) * 2, np.int64)
        tensor = torch.from_numpy(total - self._last if drop_last else total.copy())
        all_reduce(tensor)
        if drop_last:
            self._f_scores += self._last_batch[1] - self._last_batch[0]
        scores = torch.from_numpy(self._f_scores)
        all_reduce(scores)
        return tensor.numpy()

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Report the scores on the main process.

        Args:
            results: The summed matrix ``(K, K)`` and the counts of each image.

        Returns:
            The scores in per cent.
        """
        matrix, counts = results
        own = counts.groups()
        units = self.units_of(counts.names(), own)
        if self.unit and own:
            units = units._replace(unit=self.unit)
        policy: dict = dict(absent=self.absent, background=self.background_index)
        intervals = score_intervals(counts.arrays(), groups=units.groups, **policy)
        self.intervals = dict(intervals.means)
        report = summary(
            matrix,
            self.class_names,
            intervals=intervals,
            units=units,
            **policy,
            extra=dict(self.extra or {}, num_images=len(counts)),
        )
        if self.batch_f_score:
            report['batch_f_score'] = float(self._f_scores[0] / self._f_scores[1])
        self._write(report, counts, units.groups)
        scores = {
            name: float('nan') if entry['value'] is None else 100 * entry['value']
            for name, entry in report['metrics'].items()
        }
        scores['mAcc'] = scores['mPA']  # mmseg's name for it
        if self.batch_f_score:
            scores['batch_f_score'] = 100 * report['batch_f_score']
        return {f'{self.prefix}/{k}' if self.prefix else k: v for k, v in scores.items()}

    def _write(self, report: dict, counts: ImageCounts, groups: Optional[Sequence[str]]) -> None:
        text = f'per class, in per cent:\n{class_table(report)}\n{mean_table(report)}'
        if report['absent_classes']:
            names = ', '.join(report['absent_classes'])
            text += f'\nwithout a labelled pixel ({self.absent}): {names}'
        tell_result(text)
        if self.per_image_file is not None:
            counts.save(self.per_image_file, groups)
        if self.table_file is not None:
            write_csv(self.table_file, *image_table(counts, self.class_names, absent=self.absent))
        if self.summary_file is not None:
            write_json(self.summary_file, report)


def _batch_score(sums: list) -> tuple[float, int]:
    """Return the f_score of a batch and 1, or two zeros for a batch without images."""
    return (f_score_from_sums(torch.stack(sums).sum(0)), 1) if sums else (0.0, 0)
