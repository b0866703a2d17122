"""Classifier for a map that is smaller than the image, with a loss weight for each pixel.

Source: "U-Net", MICCAI 2015, https://arxiv.org/abs/1505.04597: the final 1x1 convolution, the loss
on the centre of a tile, and equation 1, cross entropy weighted by a map.
Differs from it: the weighted sum is divided by the number of labelled pixels, which scales the
learning rate.
Shape letters: N image, K class, H row, W column.
"""

from typing import Any, Optional

import torch
import torch.nn.functional as F
from mmseg.models.losses import accuracy
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from .conv_seg_head import ConvSegHead


@MODELS.register_module()
class UnpaddedSegHead(ConvSegHead):
    """:class:`ConvSegHead` whose loss covers the centre of the labels and takes pixel weights.

    Samples may hold a ``gt_weight_map``, made by :class:`BorderWeight` and
    ``PackWeightedSegInputs``. Without one, all pixels weigh the same.

    Args:
        in_channels: C of the map at ``in_index``.
        kernel_size: Side of the kernel, odd.
        kwargs: As for :class:`ConvSegHead`.

    Shape:
        Backbone maps to logits ``(N, K, h, w)`` at the size of the map, at most that of the labels.
    """

    def __init__(self, in_channels: int, *, kernel_size: int = 1, **kwargs: Any) -> None:
        super().__init__(in_channels, kernel_size=kernel_size, **kwargs)

    def loss_by_feat(
        self, seg_logits: Tensor, batch_data_samples: list[SegDataSample]
    ) -> dict[str, Tensor]:
        """Return the losses on the part of the labels that the logits cover.

        Raises:
            ValueError: If the logits are larger than the labels.
        """
        size = seg_logits.shape[2:]
        label = _centre(self._stack_batch_gt(batch_data_samples).squeeze(1), size)
        weight = _weights(batch_data_samples)
        if weight is not None:
            weight = _centre(weight, size).to(seg_logits.device)
        modules = self.loss_decode
        losses: dict[str, Tensor] = {}
        for module in modules if isinstance(modules, nn.ModuleList) else [modules]:
            value = module(seg_logits, label, weight=weight, ignore_index=self.ignore_index)
            name = str(module.loss_name)
            losses[name] = losses[name] + value if name in losses else value
        losses['acc_seg'] = accuracy(seg_logits, label, ignore_index=self.ignore_index)
        return losses


def _weights(samples: list[SegDataSample]) -> Optional[Tensor]:
    """Stack the weight maps, 0 where the preprocessor padded image and label."""
    if not all('gt_weight_map' in sample for sample in samples):
        return None
    maps = []
    for sample in samples:
        height, width = sample.gt_sem_seg.data.shape[-2:]
        data = sample.gt_weight_map.data[0]
        maps.append(F.pad(data, (0, width - data.shape[1], 0, height - data.shape[0])))
    return torch.stack(maps)


def _centre(x_NHW: Tensor, size: Any) -> Tensor:
    """Crop to ``size`` equally on both sides, as U-Net's unpadded convolutions do."""
    spare = [have - want for have, want in zip(x_NHW.shape[1:], size)]
    if min(spare) < 0:
        raise ValueError(
            f'logits of {tuple(size)} pixels are larger than the labels, {tuple(x_NHW.shape[1:])}: '
            'this head expects maps of the image or of its centre'
        )
    top, left = (n // 2 for n in spare)
    return x_NHW[:, top : top + size[0], left : left + size[1]]
