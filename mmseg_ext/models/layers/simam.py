"""Simple, parameter-free Attention Module (SimAM).

Source: "SimAM", ICML 2021, https://proceedings.mlr.press/v139/yang21o.html, equation 5 and the
listing beside it: lambda 1e-4.
Differs from it: nothing for two or more pixels. The variance divides by H * W - 1 as in the listing
(equation 5 prints H * W). For one pixel that is 0 / 0, and the variance is set to 0.
Shape letters: N image, C channel, H row, W column.
"""

from typing import Optional

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class SimAM(BaseModule):
    """Gate each value by its squared distance from the channel's mean, in units of the variance.

    Args:
        channels: C. Unused, but every attention takes it.
        e_lambda: Added to the variance.
        init_cfg: mmengine initialisation.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H, W)``, any H and W; gate in (0.62, 1).
    """

    def __init__(
        self, channels: int, *, e_lambda: float = 1e-4, init_cfg: Optional[dict] = None
    ) -> None:
        super().__init__(init_cfg)
        self.channels, self.e_lambda = channels, e_lambda

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the gated map."""
        square = (x_NCHW - x_NCHW.mean((2, 3), keepdim=True)).square()
        pixels = x_NCHW.shape[2] * x_NCHW.shape[3]
        # A mean instead of a sum: in half precision the sum of a large map overflows.
        variance = square.mean((2, 3), keepdim=True) * (pixels / max(1, pixels - 1))
        return x_NCHW * (square / (4 * (variance + self.e_lambda)) + 0.5).sigmoid()
