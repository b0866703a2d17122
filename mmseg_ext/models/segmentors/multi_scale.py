"""Multi-scale inputs: one network runs on several image sizes; the maximum of the logits counts.

Source: https://arxiv.org/abs/1606.00915, section 4.1.2 ("MSC"), in two published forms.
``'caffe'`` is the authors' release (the network definition of their ResNet-101), ``'port'`` the
PyTorch port https://github.com/kazuto1011/deeplab-pytorch (MIT). They differ in geometry and in the
loss:

==========  =======================================  =====================================
.           caffe                                    port
==========  =======================================  =====================================
input       ``int((n - 1) s) + 1``, corners aligned  ``int(n s)``, corners not aligned
labels      those at the logits' corners, every 8th  those nearest to the centres of cells
loss, x1    own grid                                 own grid
loss, x.75  logits enlarged to the grid of x1        own grid
loss, x.5   own grid, every 16th label               own grid
loss, max   grid of x1                               grid of x1
==========  =======================================  =====================================

Differs from them: there is a third definition, mmseg's ``'full'``: logits are upsampled to the size
of the labels. The authors only have the scales 0.5, 0.75 and 1; for other scales s, ``'caffe'``
upsamples the logits whose step between labels, 8 / s, is not a multiple of 8. Where the centre of a
cell lies between two labels, ``'port'`` takes the later one; in Pillow, which the port calls,
rounding errors decide. Inputs are scaled as in torch before 1.6, with which the port's weights were
trained. Where n s is not an integer, later versions of torch read ``scale_factor`` as other
coordinates, which changes the logits.
Shape letters: N image, C channel, H row, W column, K class.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from typing import Any, Optional

import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from torch import Tensor

from ...core.words import check_choice
from ..layers.aspp import upsample

DEFINITIONS = ('port', 'caffe', 'full')


def scaled_size(
    size: Sequence[int], scale: float, *, align_corners: bool = False
) -> tuple[int, int]:
    """Return a scaled size, at least 1: ``int(n s)``, or ``int((n - 1) s) + 1`` if aligned.

    Args:
        size: H and W in pixels.
        scale: Factor of both sides.
        align_corners: Align the centres of the corner pixels.
    """
    if align_corners:
        height, width = (_times(n - 1, scale) + 1 for n in size)
    else:
        height, width = (max(1, _times(n, scale)) for n in size)
    return height, width


def _times(length: int, scale: float) -> int:
    """Scale a length and round down; in a graph for any size, in integers."""
    if isinstance(length, int):
        return int(length * scale)
    ratio = Fraction(scale).limit_denominator(10**4)  # int() would fix the size in the graph
    return length * ratio.numerator // ratio.denominator


def shrink_labels(label: Tensor, size: Sequence[int], *, align_corners: bool = False) -> Tensor:
    """Pick one label for each cell of a grid by exact integer arithmetic.

    Args:
        label: Class ids, ``(..., H, W)``.
        size: Cells of the grid, h and w.
        align_corners: Cell i of n lies at ``i (H - 1) / (n - 1)``, so both borders are picked, and
            every eighth label if ``H = 8 (n - 1) + 1``. With ``False`` its centre lies at ``(i +
            1/2) H / n``, as in Pillow's nearest-neighbour resize.

    Returns:
        ``(..., h, w)``, same dtype.
    """
    for dim, n in zip((-2, -1), size):
        cells = torch.arange(n, device=label.device)
        length = label.shape[dim]
        if align_corners:
            index = (2 * cells * (length - 1) + n - 1) // max(1, 2 * (n - 1))
        else:
            index = (2 * cells + 1) * length // (2 * n)
        label = label.index_select(dim, index)
    return label


@MODELS.register_module()
class MultiScaleEncoderDecoder(EncoderDecoder):
    """``EncoderDecoder`` on several sizes of its input, fused by the element-wise maximum.

    In training each scale has its own loss, and so has the maximum; they are logged as
    ``decode_x0.5.*``, ``decode_max.*`` and so on. With a single scale there is one term. Heads and
    their losses are mmseg's; an auxiliary head gets only scale 1.

    Args:
        scales: Scale factors of the input. They must include 1, whose grid the maximum has.
        loss_definition: ``'port'``, ``'caffe'`` or ``'full'``, see the docstring of this file.
        kwargs: Arguments of mmseg's ``EncoderDecoder``. ``align_corners`` of the decode head
            applies to every resize, including the last; it must be True with ``'caffe'`` and False
            with ``'port'``.

    Shape:
        Images ``(N, 3, H, W)`` to logits ``(N, K, h, w)`` at the size of the head's output for
        scale 1.

    Raises:
        ValueError: If 1 is missing from ``scales``, a scale is repeated or not positive, the
            definition is unknown, or the head's ``align_corners`` contradicts it.
    """

    align_corners: bool

    def __init__(
        self,
        *,
        scales: Sequence[float] = (0.5, 0.75, 1.0),
        loss_definition: str = 'port',
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if 1 not in scales or min(scales) <= 0 or len(set(scales)) < len(scales):
            raise ValueError(
                'scales must be different positive factors with 1 among them, got '
                f'{list(scales)}: the maximum over scales is taken on the grid of scale 1'
            )
        check_choice('loss_definition', loss_definition, DEFINITIONS)
        if loss_definition != 'full' and self.align_corners != (loss_definition == 'caffe'):
            raise ValueError(
                f'loss_definition={loss_definition!r} contradicts decode_head.align_corners='
                f'{self.align_corners}, which sets where labels and logits lie: set '
                f"decode_head.align_corners={not self.align_corners}, or loss_definition='full', "
                'which takes either'
            )
        self.scales = tuple(scales)
        self.loss_definition = loss_definition

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Return fused logits at the input's size, ``(N, K, H, W)``."""
        return self.decode_head.predict_by_feat(self._forward(inputs), batch_img_metas)

    def _forward(
        self, inputs: Tensor, data_samples: Optional[list[SegDataSample]] = None
    ) -> Tensor:
        logits = {s: self.decode_head.forward(self._features(inputs, s)) for s in self.scales}
        return self._fuse(logits)

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Return the losses of all scales and of their maximum.

        Args:
            inputs: Normalised images, ``(N, 3, H, W)``.
            data_samples: One per image, with ``gt_sem_seg`` of the same size.
        """
        features = {s: self._features(inputs, s) for s in self.scales}
        logits = {s: self.decode_head.forward(x) for s, x in features.items()}
        losses: dict[str, Tensor] = {}
        for name, z in self._terms(logits).items():
            samples = self._fit_labels(data_samples, z)
            losses.update(add_prefix(self.decode_head.loss_by_feat(z, samples), f'decode_{name}'))
        if self.with_auxiliary_head:
            losses.update(self._auxiliary_head_forward_train(features[1], data_samples))
        return losses

    def _features(self, inputs: Tensor, scale: float) -> Any:
        size = scaled_size(inputs.shape[2:], scale, align_corners=self.align_corners)
        return self.extract_feat(upsample(inputs, size, self.align_corners))

    def _fuse(self, logits: dict[float, Tensor]) -> Tensor:
        size = logits[1].shape[2:]
        return reduce(
            torch.maximum, [upsample(z, size, self.align_corners) for z in logits.values()]
        )

    def _terms(self, logits: dict[float, Tensor]) -> dict[str, Tensor]:
        """Return the logits of each loss term at the size at which they meet the labels."""
        terms = dict(logits)
        if self.loss_definition == 'caffe':
            # labels are subsampled by whole steps (8, 16); other scales are upsampled to x1
            size = logits[1].shape[2:]
            terms = {
                s: z if float(1 / s).is_integer() else upsample(z, size, self.align_corners)
                for s, z in logits.items()
            }
        named = {f'x{s:g}': z for s, z in terms.items()}
        return named if len(named) == 1 else {**named, 'max': self._fuse(logits)}

    def _fit_labels(self, samples: list[SegDataSample], logits: Tensor) -> list[SegDataSample]:
        if self.loss_definition == 'full':
            return samples  # the head upsamples the logits instead
        size = logits.shape[2:]
        fitted = []
        for sample in samples:
            label = sample.gt_sem_seg.data
            small = shrink_labels(label, size, align_corners=self.align_corners)
            fitted.append(SegDataSample(gt_sem_seg=PixelData(data=small)))
        return fitted
