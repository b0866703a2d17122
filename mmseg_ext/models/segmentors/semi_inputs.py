"""A batch of labelled and unlabelled images, taken apart and prepared.

Shape letters: M unlabelled image, H row, W column.
"""

from typing import Any, NamedTuple, Optional

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from ...core.labels import UNLABELLED, VALID

NO_MASK = -1  # in ``reserve``


class Unlabelled(NamedTuple):
    """Unlabelled images of a batch, normalised and padded.

    Attributes:
        weak: As the row's own augmentation leaves them, ``(M, 3, H, W)``.
        strong: The same crops in other colors, each like ``weak``.
        ignore: True in the padding, ``(M, H, W)``.
        reserve: Masks for analysis, which no loss reads, ``(M, H, W)``; ``None`` without any. What
            is no class is to be taken as unknown.
    """

    weak: Tensor
    strong: tuple[Tensor, ...]
    ignore: Tensor
    reserve: Optional[Tensor]


def quality_of(
    label: Tensor, sure: Tensor, images: Unlabelled, num_classes: int
) -> dict[str, Tensor]:
    """Coverage and, with masks in reserve, precision of pseudo labels.

    The precision is NaN where no label is known: a log that averages over iterations must not take
    it for 0.

    Args:
        label: Class ids, ``(M, H, W)``.
        sure: True where a pseudo label is learnt from, never in the padding.
        images: What the labels are of.
        num_classes: What is no class in the reserve is unknown.
    """
    found = dict(coverage=sure.sum() / (~images.ignore).sum().clamp(min=1))
    if images.reserve is not None:
        known = sure & (images.reserve >= 0) & (images.reserve < num_classes)
        right = known & (label == images.reserve)
        found.update(precision=right.sum() / known.sum())
    return found


@MODELS.register_module()
class SemiDataPreProcessor(BaseDataPreprocessor):
    """Prepare labelled images as a row's preprocessor does, and unlabelled ones in the same way.

    ``PackUnlabelledInputs`` marks the unlabelled samples. Without any of them the result is the
    row's.

    Args:
        preprocessor: The row's.
    """

    def __init__(self, preprocessor: Optional[dict] = None) -> None:
        super().__init__()
        self.preprocessor = MODELS.build(preprocessor or dict(type='SegDataPreProcessor'))

    def forward(self, data: dict, training: bool = False) -> dict[str, Any]:
        """Prepare a batch.

        Args:
            data: ``inputs`` and ``data_samples``, lists of one length.
            training: Pad, and take unlabelled samples out.

        Returns:
            ``inputs`` and ``data_samples`` of the labelled images and, if there are any others in
            training, ``unlabelled``: an :class:`Unlabelled`.

        Raises:
            ValueError: If a training batch has no labelled image.
        """
        samples = data.get('data_samples') or []
        without = [bool(sample.metainfo.get(UNLABELLED)) for sample in samples]
        if not training or not any(without):
            return self.preprocessor(data, training)
        if all(without):
            raise ValueError(
                'a batch holds no labelled image: give train_dataloader.sampler='
                "dict(type='LabelledUnlabelledSampler', labelled=..., unlabelled=...)"
            )
        pairs = list(zip(data['inputs'], samples, without))
        labelled = [(image, sample) for image, sample, is_without in pairs if not is_without]
        others = [(image, sample) for image, sample, is_without in pairs if is_without]
        return dict(self._prepare(labelled), unlabelled=self._unlabelled(others))

    def _prepare(self, pairs: list[tuple[Tensor, SegDataSample]]) -> dict[str, Any]:
        images, samples = map(list, zip(*pairs))
        return self.preprocessor(dict(inputs=images, data_samples=samples), True)

    def _unlabelled(self, pairs: list[tuple[Tensor, SegDataSample]]) -> Unlabelled:
        metas = [sample.metainfo for _, sample in pairs]
        views = list(zip(*(meta.get('strong_views', ()) for meta in metas)))
        masks = [meta.get('reserve') for meta in metas]
        pairs = [(image, _kept(sample)) for image, sample in pairs]
        strong = tuple(
            self._prepare([(view, _kept(sample)) for view, (_, sample) in zip(view_of_all, pairs)])
            for view_of_all in views
        )
        weak = self._prepare(pairs)
        valid = torch.stack([s.gt_sem_seg.data[0] for s in weak['data_samples']]) == VALID
        reserve = _stack(masks, weak['inputs']) if all(m is not None for m in masks) else None
        return Unlabelled(weak['inputs'], tuple(v['inputs'] for v in strong), ~valid, reserve)


def _kept(sample: SegDataSample) -> SegDataSample:
    """What the row's preprocessor needs of a sample: where its pixels are, in a copy of its own."""
    copied = SegDataSample(metainfo=dict(img_shape=sample.metainfo.get('img_shape')))
    copied.gt_sem_seg = PixelData(data=sample.gt_sem_seg.data.clone())
    return copied


def _stack(masks_HW: list[Tensor], images: Tensor) -> Tensor:
    """Masks for analysis, padded at the right and at the bottom like their images."""
    height, width = images.shape[2:]
    padded = [
        F.pad(mask, (0, width - mask.shape[1], 0, height - mask.shape[0]), value=NO_MASK)
        for mask in masks_HW
    ]
    return torch.stack(padded).to(images.device)
