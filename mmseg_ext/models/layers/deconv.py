"""Transposed convolution with batch norm as an upsampler.

Source: the "DeConv" row of the upsampler comparison in the MFP-DeepLabv3+ paper, whose parameter
count is that of ``ConvTranspose2d`` without bias, then ``BatchNorm2d``.
Differs from it: nothing known; the paper states no kernel, and the counts fit kernel 2 at scale 2,
kernel 4 at scale 4, and at one place kernel 2 at scale 4. In the last case every input pixel sets
2x2 of its 4x4 output pixels; the other twelve depend on no input and equal the shift of the norm.
Shape letters: N image, C channel, H row, W column; SH is S * H.
"""

from typing import Any, Optional

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn


def deconv_geometry(kernel_size: int, scale_factor: int) -> dict[str, Any]:
    """Return the arguments of ``nn.ConvTranspose2d`` that turn H into exactly S * H.

    The output of a kernel wider than S is cropped evenly; an odd pixel is cropped at the top and
    left.

    Args:
        kernel_size: Side of the kernel.
        scale_factor: S.

    Raises:
        ValueError: If an argument is not a positive integer, or the kernel is even at S = 1.
    """
    for name, value in (('scale_factor', scale_factor), ('kernel_size', kernel_size)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f'{name} must be a positive integer, got {value!r}')
    padding = max(0, kernel_size - scale_factor + 1) // 2
    output_padding = scale_factor - kernel_size + 2 * padding
    if output_padding >= scale_factor:  # torch would fail only in the first forward
        raise ValueError(f'at scale_factor=1 kernel_size must be odd, got {kernel_size}')
    return dict(stride=scale_factor, padding=padding, output_padding=output_padding)


@MODELS.register_module(name='deconv_bn')
class DeconvBN(BaseModule):
    """Upsample by a transposed convolution without bias and batch norm.

    Registered in mmengine's registry, as mmcv's upsamplers are, so that ``build_upsample_layer``
    finds it under any default scope.

    Args:
        channels: C, the same at input and output.
        scale_factor: S, an integer.
        kernel_size: Side of the kernel; ``None`` takes S, so that every output pixel depends on one
            input pixel. A smaller kernel leaves output pixels that depend on none and are constant.
        init_cfg: mmengine initialisation; ``None`` keeps torch's.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, S * H, S * W)``.

    Raises:
        ValueError: If ``scale_factor`` or ``kernel_size`` is not a positive integer,
            or the kernel is even at scale 1.
    """

    def __init__(
        self,
        channels: int,
        *,
        scale_factor: int = 2,
        kernel_size: Optional[int] = None,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        kernel_size = scale_factor if kernel_size is None else kernel_size
        geometry = deconv_geometry(kernel_size, scale_factor)
        self.conv = nn.ConvTranspose2d(channels, channels, kernel_size, bias=False, **geometry)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the upsampled map."""
        return self.norm(self.conv(x_NCHW))
