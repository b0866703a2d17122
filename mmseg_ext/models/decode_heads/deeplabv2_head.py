"""DeepLab-v2's atrous spatial pyramid: parallel classifiers whose logits are summed.

Source: "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and
Fully Connected CRFs", TPAMI 2018, https://arxiv.org/abs/1606.00915, section 3.2 and figure 7; sizes
and initialisation from the authors' published network definitions.
Differs from it: nothing for ResNet-101. With VGG16 the authors initialise the hidden layers from
ImageNet's fully connected layers; here they are drawn from N(0, 0.01). DeepLab-v3's module, which
is also called ASPP, is another one (concatenation, batch norm, image pooling).
Shape letters: N image, C channel, H row, W column, K class.
"""

from collections.abc import Sequence
from typing import Any, Optional

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..layers.dropout import Dropout


@MODELS.register_module()
class DeepLabV2Head(BaseDecodeHead):
    """Sum the logits of parallel classifiers that differ in their dilation.

    Without ``hidden_channels`` a branch is one dilated 3x3 convolution to K channels with bias (the
    ResNet-101 networks). With it (the VGG16 networks), a branch is fc6 (dilated 3x3) and fc7 (1x1),
    each with ReLU and element-wise dropout, and fc8 (1x1, to K channels). A single branch of rate
    12 is "LargeFOV". The last convolution of branch i is named ``classifiers.i``, so that the
    optimiser can multiply its learning rate (10 for the weight, 20 for the bias).

    Args:
        in_channels: C of the backbone map at ``in_index``.
        rates: Dilations of the branches, in pixels of that map; ASPP-L is the default.
        hidden_channels: Channels of fc6 and fc7, 1024 in the paper; ``None``: no hidden layers.
        dropout_ratio: Dropout probability after fc6 and fc7; unused without them.
        init_cfg: mmengine initialisation; the paper's is the default.
        kwargs: Arguments of mmseg's ``BaseDecodeHead`` such as ``num_classes``, except
            ``channels``.

    Shape:
        ``(N, C, H, W)`` at ``in_index`` to logits ``(N, K, H, W)``, at least float32.

    Raises:
        ValueError: If ``rates`` is empty or holds a number below 1, or ``hidden_channels`` is below
            1.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        rates: Sequence[int] = (6, 12, 18, 24),
        hidden_channels: Optional[int] = None,
        dropout_ratio: float = 0.5,
        init_cfg: Any = dict(type='Normal', layer='Conv2d', std=0.01),  # noqa: B006, never written
        **kwargs: Any,
    ) -> None:
        if not rates or min(rates) < 1:
            raise ValueError(f'rates needs one or more dilations of 1 or more, got {list(rates)}')
        if hidden_channels is not None and hidden_channels < 1:
            raise ValueError(f'hidden_channels must be 1 or more, or None, got {hidden_channels}')
        super().__init__(
            in_channels,
            hidden_channels or in_channels,
            dropout_ratio=0,
            init_cfg=init_cfg,
            **kwargs,
        )
        del self.conv_seg  # the base class's single classifier; here each branch has its own
        self.hidden = nn.ModuleList(
            _hidden_layers(in_channels, hidden_channels, rate, dropout_ratio) for rate in rates
        )
        self.classifiers = nn.ModuleList(
            nn.Conv2d(hidden_channels, self.out_channels, 1)
            if hidden_channels
            else nn.Conv2d(in_channels, self.out_channels, 3, padding=rate, dilation=rate)
            for rate in rates
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return logits at the size of the backbone map."""
        x = self._transform_inputs(inputs)
        branches = zip(self.hidden, self.classifiers)
        # in float32 even under autocast, because the maximum over scales compares close numbers
        logits = [classifier(hidden(x)) for hidden, classifier in branches]
        return sum(z if z.element_size() > 2 else z.float() for z in logits)  # type: ignore[return-value]


def _hidden_layers(
    in_channels: int, hidden_channels: Optional[int], rate: int, dropout_ratio: float
) -> nn.Module:
    if hidden_channels is None:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, hidden_channels, 3, padding=rate, dilation=rate),
        nn.ReLU(inplace=True),
        Dropout(dropout_ratio),
        nn.Conv2d(hidden_channels, hidden_channels, 1),
        nn.ReLU(inplace=True),
        Dropout(dropout_ratio),
    )
