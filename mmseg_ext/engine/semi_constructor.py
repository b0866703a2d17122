"""An optimiser for students alone."""

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SemiOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor without the teacher, whose parameters no gradient reaches.

    With ``paramwise_cfg`` the log would warn of each of them, and the optimiser keep a group for
    each; without it they are in its one group, where nothing moves them.
    """

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module: Any = None
    ) -> None:
        """Add a module's parameters, unless it is the teacher."""
        if prefix != 'teacher':
            super().add_params(params, module, prefix, is_dcn_module)
