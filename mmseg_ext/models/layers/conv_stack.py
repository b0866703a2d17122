"""Stacks of convolutions with biases and batch norms, as in VGG16-BN, and their initialisation.

Source: "Very Deep Convolutional Networks", ICLR 2015, https://arxiv.org/abs/1409.1556, with batch
norm as in torchvision. Initialisation: "Delving Deep into Rectifiers", ICCV 2015,
https://arxiv.org/abs/1502.01852, called MSRA in Caffe, and the public SegNet's batch-norm shift of
0.001.
Differs from them: nothing.
"""

from collections.abc import Iterable, Sequence
from typing import Optional, Union

from torch import nn

from .aspp import conv_bn_relu


def conv_stack(
    widths: Sequence[int], kernel_size: int = 3, *, relu: bool = True, transposed: bool = False
) -> nn.Sequential:
    """Stack convolutions with batch norm and ReLU, one from each entry of ``widths`` to the next.

    Args:
        widths: Channels of the input and of every following map; one entry makes no layer.
        kernel_size: Odd; padding keeps H and W.
        relu: End each step with a ReLU.
        transposed: Use transposed convolutions, of stride 1.

    Shape:
        ``(N, widths[0], H, W)`` to ``(N, widths[-1], H, W)``.
    """
    conv_cfg = dict(type='deconv') if transposed else None
    return nn.Sequential(
        *(
            conv_bn_relu(before, after, kernel_size, relu=relu, conv_cfg=conv_cfg)
            for before, after in zip(widths, widths[1:])
        )
    )


def conv_bn_pairs(stacks: Iterable[nn.Module]) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """List the convolutions of stacks, in order, each with the norm that follows it."""
    layers = [layer for stack in stacks for layer in stack.modules()]
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
    return list(zip(convs, norms))


def msra(init_cfg: Union[dict, Sequence[dict], None] = None) -> list[dict]:
    """Return configs that set convolutions by fan-in and shifts to 0.001, then ``init_cfg``."""
    after: Optional[Sequence[dict]] = [init_cfg] if isinstance(init_cfg, dict) else init_cfg
    kaiming = dict(type='Kaiming', nonlinearity='relu')
    return [
        dict(kaiming, layer='Conv2d', mode='fan_in'),
        # torch swaps the channels of a transposed kernel, so its "fan-out" is the real fan-in
        dict(kaiming, layer='ConvTranspose2d', mode='fan_out'),
        dict(type='Constant', layer='BatchNorm2d', val=1.0, bias=0.001),
        *(after or ()),
    ]
