"""The ResNet of DeepLab-v2: mmseg's with Caffe's pooling and DeepLab's strides and dilations.

Source: https://arxiv.org/abs/1606.00915, section 4.1.2, and the authors' network definition. Map
sizes follow its PyTorch port, https://github.com/kazuto1011/deeplab-pytorch (MIT).
Differs from it: nothing.
Differs from mmseg's ``ResNet``: the max-pooling rounds sizes up. Both give the same map sizes if
the input has 8n + 1 rows, such as 321. At 240 rows, the size of the port's second scale, the last
map has 31 rows here and 30 in mmseg.
"""

from collections.abc import Sequence
from typing import Any

from mmseg.models.backbones import ResNet
from mmseg.registry import MODELS


@MODELS.register_module()
class DeepLabResNet(ResNet):
    """mmseg's ``ResNet`` at output stride 8, batch norm frozen, pooling in ceil mode.

    Args:
        depth: 101 in the paper; also 50 or 152.
        strides: First stride of each stage.
        dilations: Dilation of each stage, including its first block.
        style: ``'caffe'`` puts a stage's stride on its first 1x1 convolution.
        norm_cfg: Config of the norm; by default batch norm whose parameters are not trained.
        norm_eval: Keep the running statistics of the batch norm fixed in training.
        kwargs: Other arguments of mmseg's ``ResNet``.

    Shape:
        ``(N, 3, H, W)`` to four maps of 256, 512, 1024 and 2048 channels (from depth 50 on) at
        strides 4, 8, 8 and 8. A side of 8n + 1 pixels becomes n + 1 at stride 8.
    """

    def __init__(
        self,
        depth: int = 101,
        *,
        strides: Sequence[int] = (1, 2, 1, 1),
        dilations: Sequence[int] = (1, 1, 2, 4),
        style: str = 'caffe',
        norm_cfg: Any = dict(type='BN', requires_grad=False),  # noqa: B006, never written to
        norm_eval: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            depth,
            strides=strides,
            dilations=dilations,
            style=style,
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            **kwargs,
        )
        self.maxpool.ceil_mode = True
