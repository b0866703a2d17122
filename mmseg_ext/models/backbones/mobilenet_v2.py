"""MobileNetV2 whose dilated kernels keep their pre-training reach when a stride is removed.

Source: "MobileNetV2", CVPR 2018, https://arxiv.org/abs/1801.04381; dilation as in DeepLab,
https://arxiv.org/abs/1606.00915, section 3.1, torchvision and the papers' reference repository.
Differs from mmseg's ``MobileNetV2``: there ``dilations`` applies only to the first block of a stage
(2, 1, 1, 2 over the last four blocks at output stride 16). Here the first block, whose stride was
removed, keeps the dilation of the previous stage, and the other blocks take the new one (1, 2, 2,
2). Parameters and their names are the same.
"""

from mmseg.models.backbones import MobileNetV2
from mmseg.models.utils import InvertedResidual
from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module()
class MobileNetV2Dilated(MobileNetV2):
    """mmseg's ``MobileNetV2`` with the usual dilation; all arguments are its own.

    At output stride 16: ``strides=(1, 2, 2, 2, 1, 1, 1)``, ``dilations=(1, 1, 1, 1, 1, 2, 2)``.
    """

    in_channels: int
    _dilation = 1  # dilation of the previous stage

    def make_layer(
        self, out_channels: int, num_blocks: int, stride: int, dilation: int, expand_ratio: int
    ) -> nn.Sequential:
        """Stack the blocks of one stage; mmseg's constructor calls this in order."""
        blocks = []
        for i in range(num_blocks):
            blocks.append(
                InvertedResidual(
                    self.in_channels,
                    out_channels,
                    stride if i == 0 else 1,
                    expand_ratio=expand_ratio,
                    dilation=self._dilation if i == 0 else dilation,
                    conv_cfg=self.conv_cfg,
                    norm_cfg=self.norm_cfg,
                    act_cfg=self.act_cfg,
                    with_cp=self.with_cp,
                )
            )
            self.in_channels = out_channels
        self._dilation = dilation
        return nn.Sequential(*blocks)
