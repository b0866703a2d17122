"""Element-wise dropout whose mask takes a tenth of the time of torch's on a CPU.

Source: "Dropout", JMLR 15 (2014). torch draws one random number per element of a CPU mask, one
after the other, which took a third of a DeepLabv3+ training step. Here one 64-bit draw decides four
elements.
Differs from ``torch.nn.Dropout``: on a CPU the probability is rounded to a multiple of 2**-16, the
scale uses the rounded value, and the sequence of random numbers differs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_STEPS = 1 << 16


def _keep_mask(x: Tensor, drop_steps: int) -> Tensor:
    lanes = torch.empty((x.numel() + 3) // 4, dtype=torch.int64)
    lanes.random_(-(2**63), None)  # all 64 bits; the default range never sets the sign bit
    keep = lanes.view(torch.int16)[: x.numel()] >= drop_steps - _STEPS // 2
    strides = torch.empty_like(x, device='meta').stride()  # x's own if dense, else contiguous
    return keep.as_strided(x.shape, strides)  # another memory format would slow the product down


class Dropout(nn.Dropout):
    """Zero each element with probability ``p`` in training and scale the others by 1 / (1 - p).

    Shape:
        Any, unchanged.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the tensor after dropout; in evaluation, the input itself."""
        drop_steps = round(self.p * _STEPS)
        if not self.training or drop_steps == 0:
            return x
        if x.device.type != 'cpu' or drop_steps == _STEPS:
            return F.dropout(x, self.p, True)
        return x * _keep_mask(x, drop_steps) * (_STEPS / (_STEPS - drop_steps))
