"""HRNet that fuses its branches as the repository behind one paper's table does.

Source: "Deep High-Resolution Representation Learning for Visual Recognition", PAMI 2020,
https://arxiv.org/abs/1908.07919, in the form of bubbliiiing/hrnet-pytorch (e6b2e2d).
Differs from mmseg's ``HRNet``: bilinear upsampling between branches has ``align_corners=True``.
Parameters and their names are the same.
"""

from typing import Any

from mmseg.models.backbones import HRNet
from mmseg.models.utils import Upsample
from mmseg.registry import MODELS


@MODELS.register_module()
class HRNetAlignCorners(HRNet):
    """mmseg's ``HRNet`` for weights that were trained with aligned corners; same arguments.

    Exact if both sides of the image are multiples of 32, as after a letterbox. Otherwise a branch
    is doubled in size and then cropped to the size of the other branch.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for module in self.modules():
            if isinstance(module, Upsample):
                module.align_corners = True
