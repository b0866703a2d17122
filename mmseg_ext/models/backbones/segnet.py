"""SegNet: an encoder whose pooling indices drive a mirrored decoder, and its Bayesian form.

Source: "SegNet", PAMI 2017, https://arxiv.org/abs/1511.00561; "Bayesian SegNet", BMVC 2017,
https://arxiv.org/abs/1511.02680; layers, kernels and the position of dropout are those of the
authors' public networks (alexgkendall/SegNet-Tutorial).
Differs from them: nothing in the graph. As in mmseg's ``UNet``, the decoder is part of the
backbone, so any head can follow; the classifier is ``ConvSegHead``.
Shape letters: N image, C channel, H row, W column.
"""

from typing import Optional

from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...core.words import check_choice
from ..layers.conv_stack import conv_bn_pairs, conv_stack, msra
from ..layers.dropout import Dropout
from ..layers.max_unpool import WAYS, Switches, max_pool, max_unpool

# per stage: channels, convolutions
_VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
_BASIC = ((64, 1), (64, 1), (64, 1), (64, 1))
_ARCHS = dict(vgg16=_VGG16, basic=_BASIC)


@MODELS.register_module()
class SegNet(BaseModule):
    """Map an image to the decoder's maps, from coarse to fine; the last has the image's size.

    Args:
        arch: ``'vgg16'``: 13 convolutions of 3x3 in the encoder, 12 in the decoder (the 13th is the
            classifier). ``'basic'``: a local response normalisation and four 7x7 convolutions in
            the encoder, four without ReLU in the decoder.
        in_channels: Channels of the image.
        num_stages: Number of stages, counted from the first; ``None`` takes all: 5 for ``'vgg16'``,
            4 for ``'basic'``.
        bayesian: Where to put dropout, which :class:`MonteCarloEncoderDecoder` keeps active at test
            time. ``None``: nowhere. ``'center'``: from stage 3 on, after each pooling and after
            each decoder stage. ``'all'``: before every pooling and every unpooling, as in the
            authors' PASCAL model.
        dropout: Probability that an element is dropped.
        lrn: Begin with Caffe's local response normalisation (5 channels, alpha 1e-4, beta 0.75),
            which expects pixel values of 0 to 255. ``None`` means True for ``'basic'`` only.
        ceil_mode: See :func:`max_pool`. Caffe's weights need True.
        unpool: See ``way`` of :func:`max_unpool`.
        init_cfg: mmengine initialisation after the authors' own, such as
            ``dict(type='VGG16BNPretrained', checkpoint=...)``.

    Shape:
        ``(N, in_channels, H, W)``, any size, to one map per stage: 512, 256, 128, 64 and 64
        channels for VGG16, 64 each for Basic. Each has the size of the matching encoder map before
        its pooling.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        arch: str = 'vgg16',
        *,
        in_channels: int = 3,
        num_stages: Optional[int] = None,
        bayesian: Optional[str] = None,
        dropout: float = 0.5,
        lrn: Optional[bool] = None,
        ceil_mode: bool = True,
        unpool: str = 'auto',
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(msra(init_cfg))
        stages = _stages(arch, num_stages)
        check_choice('unpool', unpool, WAYS)
        self.arch, self.ceil_mode, self.unpool = arch, ceil_mode, unpool
        basic = arch == 'basic'
        kernel = 7 if basic else 3
        widths = [in_channels, *(width for width, _ in stages)]
        self.normalize = _caffe_lrn() if (basic if lrn is None else lrn) else nn.Identity()
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for index, (width, count) in enumerate(stages):
            encoder = [widths[index], *[width] * count]
            # The first stage's last mirrored convolution is the classifier; Basic has one more.
            decoder = encoder[::-1] if index else [width] * (count + basic)
            self.encoder.append(conv_stack(encoder, kernel))
            self.decoder.append(conv_stack(decoder, kernel, relu=not basic))
        self.out_channels = (*widths[-2:0:-1], widths[1])
        self.before_pool, self.after_pool, self.after_decoder = _dropouts(
            bayesian, len(stages), dropout
        )

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, ...]:
        """Return the decoder's maps, coarse to fine."""
        x, switches = self.normalize(x_NCHW), []
        for convs, before, after in zip(self.encoder, self.before_pool, self.after_pool):
            x, where = max_pool(before(convs(x)), ceil_mode=self.ceil_mode)
            x = after(x)
            switches.append(where)
        return self._decode(x, switches)

    def _decode(self, x: Tensor, switches: list[Switches]) -> tuple[Tensor, ...]:
        maps = []
        for convs, after, where in zip(
            reversed(self.decoder), reversed(self.after_decoder), reversed(switches)
        ):
            x = after(convs(max_unpool(x, where, way=self.unpool)))
            maps.append(x)
        return tuple(maps)

    def vgg16_layers(self) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
        """List the encoder's convolutions with their norms, in VGG16's order.

        Raises:
            ValueError: If the architecture is not VGG16.
        """
        if self.arch != 'vgg16':
            raise ValueError(f"VGG16's weights fit arch='vgg16' only, this is {self.arch!r}")
        return conv_bn_pairs(self.encoder)


def _stages(arch: str, num_stages: Optional[int]) -> tuple[tuple[int, int], ...]:
    check_choice('arch', arch, _ARCHS)
    stages = _ARCHS[arch]
    if num_stages is not None and not 1 <= num_stages <= len(stages):
        raise ValueError(f'num_stages of {arch} must be 1 to {len(stages)}, got {num_stages}')
    return stages[:num_stages]


def _caffe_lrn() -> nn.Module:
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)


def _dropouts(bayesian: Optional[str], num_stages: int, p: float) -> list[nn.ModuleList]:
    """Build the dropout before each pooling, after each pooling, and after each decoder stage."""
    stages = range(num_stages)
    if bayesian is None:
        places: tuple[range, range, range] = (range(0), range(0), range(0))
    elif bayesian == 'center':
        places = (range(0), stages[2:], stages[2:])
    elif bayesian == 'all':  # after a decoder stage means before the next unpooling
        places = (stages, stages[-1:], stages[1:])
    else:
        raise ValueError(f"bayesian must be None, 'center' or 'all', got {bayesian!r}")
    return [
        nn.ModuleList(Dropout(p) if i in at else nn.Identity() for i in stages) for at in places
    ]
