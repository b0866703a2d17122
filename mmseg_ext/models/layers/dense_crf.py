"""Fully connected CRF with Gaussian edge potentials, solved by mean field.

Source: Kraehenbuehl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge
Potentials", NIPS 2011, https://arxiv.org/abs/1210.5644, in the form that DeepLab uses: Potts model
with a position kernel and a bilateral kernel. The settings are those of DeepLab's public code and
its ports.

Differs from the paper, like all public code: a pixel's message to itself is kept, and kernels are
normalised. pydensecrf and published PyTorch results use ``'symmetric'``: D^-1/2 K D^-1/2, where D
are the row sums of K. The code of 2011, and so DeepLab's, divides after filtering.
Differs from pydensecrf: the weights can be learnt, gradients flow to the probabilities, and classes
that are improbable at every pixel can be left out. ``permutohedral.py`` has the kernels.
Shape letters: N image, C class, H row, W column; P pixel = H * W.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Optional, Union

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...core.words import check_choice, check_number
from .permutohedral import PermutohedralLattice

NORMALIZATIONS = ('symmetric', 'after', 'before', 'mean', 'none')
_SUM_TOLERANCE = 0.01  # float16 probabilities of many classes do not sum to exactly 1
_TINY = 1e-20

Kernel = tuple[Union[float, Tensor], Callable[[Tensor], Tensor]]


def _setting(
    pos_w: float, pos_xy: float, bi_w: float, bi_xy: float, bi_rgb: float
) -> dict[str, Any]:
    return dict(pos_w=pos_w, pos_xy=pos_xy, bi_w=bi_w, bi_xy=bi_xy, bi_rgb=bi_rgb)


# each with 10 iterations
SETTINGS = {
    'deeplabv2_resnet101': _setting(3, 1, 4, 67, 3),  # VOC and COCO-Stuff, kazuto1011's port
    'deeplabv2_vgg16': _setting(2, 2, 4, 65, 3),
    'deeplab_caffe': _setting(3, 3, 4, 49, 5),  # default of the released script
    'deeplabv1': _setting(3, 3, 5, 50, 10),
    'deeplabv1_msc': _setting(3, 3, 3, 95, 3),
    'deeplabv1_coco': _setting(3, 3, 5, 67, 3),
    'camvid': _setting(3, 3, 5, 50, 3),
    'pydensecrf': _setting(3, 3, 10, 80, 13),  # the example in its README
}


def position_features(height: int, width: int, sigma: float, device: Any = None) -> Tensor:
    """Return column and row of each pixel divided by ``sigma``, ``(2, P)`` in float64."""
    rows = torch.arange(height, dtype=torch.float64, device=device) / sigma
    columns = torch.arange(width, dtype=torch.float64, device=device) / sigma
    return torch.stack((columns.repeat(height), rows.repeat_interleave(width)))


@lru_cache(maxsize=8)
def position_kernel(
    height: int,
    width: int,
    sigma: float,
    normalization: str,
    dtype: torch.dtype,
    device: torch.device,
) -> PermutohedralLattice:
    """Build the position kernel, which depends only on the image size; the last 8 are cached.

    Args:
        height: H in pixels.
        width: W in pixels.
        sigma: Standard deviation in pixels.
        normalization: See :func:`normalise`.
        dtype: Dtype of the values to filter.
        device: Device of the values.
    """
    features = position_features(height, width, sigma, device)
    return normalise(PermutohedralLattice(features, dtype=dtype), normalization)


def bilateral_kernel(
    image_CHW: Tensor, sigma_xy: float, sigma_rgb: float, normalization: str, dtype: torch.dtype
) -> PermutohedralLattice:
    """Build the kernel over position and color.

    Args:
        image_CHW: ``(3, H, W)``, values of 0 to 255.
        sigma_xy: Standard deviation in pixels.
        sigma_rgb: Standard deviation in grey levels.
        normalization: See :func:`normalise`.
        dtype: Dtype of the values to filter.
    """
    height, width = image_CHW.shape[1:]
    place = position_features(height, width, sigma_xy, image_CHW.device)
    features = torch.cat((place, image_CHW.flatten(1).double() / sigma_rgb))
    return normalise(PermutohedralLattice(features, dtype=dtype), normalization)


@torch.no_grad()
def normalise(lattice: PermutohedralLattice, mode: str) -> PermutohedralLattice:
    """Normalise a kernel K by its row sums D.

    Args:
        lattice: K.
        mode: ``'symmetric'``: D^-1/2 K D^-1/2; ``'after'``: D^-1 K; ``'before'``: K D^-1;
            ``'mean'``: K divided by the mean of D, which no public code does; ``'none'``: K itself,
            like pydensecrf's NO_NORMALIZATION, which computes a mean norm but never applies it.
    """
    if mode == 'none':
        return lattice
    _, slice_ = lattice._there
    ones = slice_.weights.new_ones(lattice.num_points, 1)
    sums = lattice.filter(ones)[:, 0] + _TINY
    before, after = {
        'symmetric': (sums.rsqrt(),) * 2,
        'after': (None, 1 / sums),
        'before': (1 / sums, None),
        'mean': (None, 1 / sums.mean().expand_as(sums)),
    }[mode]
    return lattice.scaled(before, after)


def mean_field(
    unary_PC: Tensor, kernels: list[Kernel], iterations: int, *, chunk: int = 24, prune: float = 0
) -> Tensor:
    """Iterate ``Q = softmax(-U + sum of w K Q)`` from ``Q = softmax(-U)``.

    Args:
        unary_PC: -U: log probabilities, up to a constant for each pixel, ``(P, C)``.
        kernels: Weight and normalised kernel of each pairwise term.
        iterations: Number of updates; 0 returns the initial Q.
        chunk: Most classes to filter at once; 171 do not fit into a CPU's cache.
        prune: Before each iteration, classes whose probability is below this value at every pixel
            are left out for good; their Q is 0.

    Returns:
        Q, ``(P, C)``.
    """
    unary, q = unary_PC, unary_PC.softmax(1)
    kept: Optional[Tensor] = None
    learns = torch.is_grad_enabled() and any(
        isinstance(x, Tensor) and x.requires_grad for x in (unary, *(w for w, _ in kernels))
    )
    total = unary if learns else torch.empty_like(unary)
    for _ in range(iterations):
        if prune > 0:
            alive = (_highest(q.detach()) >= prune).nonzero()[:, 0]
            if 0 < len(alive) < q.shape[1]:
                kept = alive if kept is None else kept[alive]
                unary, q = unary[:, alive], q[:, alive]
                q = q / q.sum(1, keepdim=True)
                total = unary if learns else torch.empty_like(unary)
        if learns:
            q = _step(unary, q, kernels, chunk).softmax(1)
        else:
            _step_in_place(unary, q, total, kernels, chunk)
    if kept is None:
        return q
    return torch.zeros_like(unary_PC).index_copy(1, kept, q)


def _highest(q: Tensor, rows: int = 64) -> Tensor:
    """Return the maximum over pixels; on a CPU 64 rows at once are three times as fast as one."""
    whole = len(q) // rows * rows
    highest = q[whole:].amax(0) if whole < len(q) else q[0]
    if whole:
        side_by_side = q[:whole].view(-1, rows * q.shape[1]).amax(0)
        highest = torch.maximum(highest, side_by_side.view(rows, -1).amax(0))
    return highest


def _step(unary: Tensor, q: Tensor, kernels: list[Kernel], chunk: int) -> Tensor:
    for weight, kernel in kernels:
        unary = unary + weight * _in_chunks(kernel, q, chunk)
    return unary


def _step_in_place(
    unary: Tensor, q: Tensor, total: Tensor, kernels: list[Kernel], chunk: int
) -> None:
    """Update ``q`` without allocating a tensor of its size, which costs more than filtering."""
    parts = -(-q.shape[1] // chunk)
    total.copy_(unary)
    for part, sums in zip(q.tensor_split(parts, 1), total.tensor_split(parts, 1)):
        values = part.contiguous()
        for weight, kernel in kernels:
            sums.add_(kernel(values), alpha=float(weight))
    torch.softmax(total, 1, out=q)


def _in_chunks(kernel: Callable[[Tensor], Tensor], q: Tensor, chunk: int) -> Tensor:
    parts = -(-q.shape[1] // chunk)
    if parts == 1:
        return kernel(q)
    return torch.cat([kernel(part) for part in q.tensor_split(parts, 1)], 1)


@MODELS.register_module()
class DenseCRF(BaseModule):
    """Refine class probabilities by the colors of the image.

    The defaults are DeepLab-v2's for ResNet-101; ``SETTINGS`` has others. If both weights are zero,
    the result is the input, clipped and normalised.

    Args:
        iterations: Mean-field updates, 0 or more.
        pos_w: Weight of the position kernel, w2 in the paper.
        pos_xy: Its standard deviation in pixels.
        bi_w: Weight of the bilateral kernel, w1 in the paper.
        bi_xy: Its standard deviation in pixels.
        bi_rgb: Its standard deviation in grey levels of 0 to 255.
        normalization: ``'symmetric'``, ``'after'``, ``'before'``, ``'mean'`` or ``'none'``, see
            :func:`normalise`.
        clip: Smaller probabilities are raised to this value before the logarithm.
        prune: See :func:`mean_field`; 0 keeps every class, 1e-3 is safe.
        chunk: See :func:`mean_field`.
        learn_weights: Make ``pos_w`` and ``bi_w`` trainable parameters.
        init_cfg: mmengine initialisation; there is nothing to initialise.

    Shape:
        Probabilities ``(N, C, H, W)`` and image ``(N, 3, H, W)`` or, if it is grey,
        ``(N, 1, H, W)`` to probabilities ``(N, C, H, W)``.

    Raises:
        ValueError: If a setting is out of range, or of another kind.
    """

    def __init__(
        self,
        *,
        iterations: int = 10,
        pos_w: float = 3,
        pos_xy: float = 1,
        bi_w: float = 4,
        bi_xy: float = 67,
        bi_rgb: float = 3,
        normalization: str = 'symmetric',
        clip: float = 1e-5,
        prune: float = 0,
        chunk: int = 24,
        learn_weights: bool = False,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        _check_settings(pos_w, pos_xy, bi_w, bi_xy, bi_rgb, normalization, clip, prune)
        for name, least, value in (('iterations', 0, iterations), ('chunk', 1, chunk)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f'{name} must be an integer of {least} or more, got {value!r}')
        self.iterations, self.normalization = iterations, normalization
        self.pos_xy, self.bi_xy, self.bi_rgb = float(pos_xy), float(bi_xy), float(bi_rgb)
        self.clip, self.prune, self.chunk = clip, prune, chunk
        self.pos_w: Any = float(pos_w)
        self.bi_w: Any = float(bi_w)
        if learn_weights:
            self.pos_w = nn.Parameter(torch.tensor(self.pos_w))
            self.bi_w = nn.Parameter(torch.tensor(self.bi_w))

    def forward(self, prob_NCHW: Tensor, image_NCHW: Tensor) -> Tensor:
        """Refine class probabilities.

        Args:
            prob_NCHW: Class probabilities, which sum to 1 at each pixel. Half precision is
                converted to float32.
            image_NCHW: The raw image, RGB in 0 to 255, integers or floats, not normalised.

        Returns:
            Refined probabilities, float32 or float64.

        Raises:
            ValueError: If the shapes disagree, a value is not finite or out of range, or the
                probabilities do not sum to 1.
        """
        _check(prob_NCHW, image_NCHW)
        dtype = torch.promote_types(prob_NCHW.dtype, torch.float32)
        image = image_NCHW.expand(-1, 3, -1, -1)
        refined = [self._refine(p, i) for p, i in zip(prob_NCHW.to(dtype), image)]
        return torch.stack(refined)

    def _refine(self, prob_CHW: Tensor, image_3HW: Tensor) -> Tensor:
        classes, height, width = prob_CHW.shape
        unary = prob_CHW.clamp(min=self.clip).log().flatten(1).t().contiguous()
        kernels = self._kernels(image_3HW, unary.dtype) if self.iterations else []
        q = mean_field(unary, kernels, self.iterations, chunk=self.chunk, prune=self.prune)
        return q.t().reshape(classes, height, width)

    def _kernels(self, image: Tensor, dtype: torch.dtype) -> list[Kernel]:
        kernels: list[Kernel] = []
        if isinstance(self.pos_w, Tensor) or self.pos_w:
            height, width = image.shape[1:]
            place = position_kernel(
                height, width, self.pos_xy, self.normalization, dtype, image.device
            )
            kernels.append((self.pos_w, place.filter))
        if isinstance(self.bi_w, Tensor) or self.bi_w:
            color = bilateral_kernel(image, self.bi_xy, self.bi_rgb, self.normalization, dtype)
            kernels.append((self.bi_w, color.filter))
        return kernels

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return (
            f'iterations={self.iterations}, pos_w={float(self.pos_w)}, pos_xy={self.pos_xy}, '
            f'bi_w={float(self.bi_w)}, bi_xy={self.bi_xy}, bi_rgb={self.bi_rgb}, '
            f'normalization={self.normalization!r}, prune={self.prune}'
        )


def _check_settings(
    pos_w: float,
    pos_xy: float,
    bi_w: float,
    bi_xy: float,
    bi_rgb: float,
    normalization: str,
    clip: float,
    prune: float,
) -> None:
    numbers = dict(
        pos_w=pos_w, pos_xy=pos_xy, bi_w=bi_w, bi_xy=bi_xy, bi_rgb=bi_rgb, clip=clip, prune=prune
    )
    for name, value in numbers.items():
        check_number(name, value)
    for name, value in dict(pos_xy=pos_xy, bi_xy=bi_xy, bi_rgb=bi_rgb).items():
        if not value > 0:
            raise ValueError(f'{name} is a standard deviation and must be above 0, got {value}')
    for name, value in dict(pos_w=pos_w, bi_w=bi_w).items():
        if not value >= 0:
            raise ValueError(f'{name} must be 0 or more, got {value}')
    check_choice('normalization', normalization, NORMALIZATIONS)
    if not 0 < clip < 1:
        raise ValueError(f'clip must be between 0 and 1, both excluded, got {clip}')
    if not 0 <= prune < 1:
        raise ValueError(f'prune must be 0 or more and below 1, got {prune}')


def _check(prob: Tensor, image: Tensor) -> None:
    if prob.dim() != 4 or image.dim() != 4 or not prob.numel():
        raise ValueError(
            'DenseCRF takes probabilities (N, C, H, W) and an image (N, 3, H, W), got '
            f'{tuple(prob.shape)} and {tuple(image.shape)}'
        )
    if (len(prob), *prob.shape[2:]) != (len(image), *image.shape[2:]):
        raise ValueError(
            f'the probabilities {tuple(prob.shape)} and the image {tuple(image.shape)} disagree in '
            'number, height or width: bring the probabilities to the size of the image'
        )
    if image.shape[1] not in (1, 3):
        raise ValueError(f'the image has {image.shape[1]} channels: DenseCRF takes 3 (RGB) or 1')
    _check_values(prob.detach(), image)


def _check_values(prob: Tensor, image: Tensor) -> None:
    low, high = torch.aminmax(image)
    if not (low >= 0 and high <= 255):  # also true for NaN
        raise ValueError(
            f'the image has values of {float(low)} to {float(high)}: DenseCRF takes the raw image, '
            '0 to 255, not the normalised one'
        )
    low, _ = torch.aminmax(prob)
    error = (prob.sum(1, dtype=torch.promote_types(prob.dtype, torch.float32)) - 1).abs().max()
    if not (low >= 0 and error <= _SUM_TOLERANCE):
        what = 'NaN' if error.isnan() else f'a smallest value of {float(low):.4g}, sums off 1 by'
        raise ValueError(
            f'the probabilities have {what}'
            + ('' if error.isnan() else f' up to {float(error):.4g}')
            + ': give the softmax of the logits'
        )
