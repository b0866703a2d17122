"""bfloat16 mixed precision on any device.

Source: torch.autocast; mmengine's ``OptimWrapper`` and ``AmpOptimWrapper``.
Differs from ``AmpOptimWrapper``: it works on the CPU and uses only bfloat16, which needs no loss
scale because it has float32's range; and it mends gradients that torch computes wrongly there, see
``engine/grouped.py``.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn

from .bfloat16 import is_imitated, warn_if_imitated
from .grouped import mend_grouped


@OPTIM_WRAPPERS.register_module()
class Bf16OptimWrapper(OptimWrapper):
    """Run the forward pass and the loss under bfloat16 autocast, keep weights in float32.

    On a CPU that has no products of bfloat16, all is in float32, and a warning says so.

    Gradient accumulation and clipping are those of :class:`mmengine.optim.OptimWrapper`; without a
    loss scale gradients have their true size.

    Args:
        **kwargs: Arguments of :class:`mmengine.optim.OptimWrapper`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._mended: Optional[weakref.ref] = None

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Use autocast on the device of the model's parameters."""
        device = next(model.parameters()).device.type
        if device == 'cpu' and (self._mended is None or self._mended() is not model):
            warn_if_imitated(device, 'float32 is used instead')
            mend_grouped(model)
            self._mended = weakref.ref(model)
        half = torch.autocast(device, dtype=torch.bfloat16, enabled=not is_imitated(device))
        with super().optim_context(model), half:
            yield
