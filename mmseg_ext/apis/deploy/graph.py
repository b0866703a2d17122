"""The part of a segmentor that is exported: an image as it is read to logits of the same size.

Shape letters: N image, C channel, K class, H row, W column.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from ...compat import any_size_in_mmseg, any_size_in_pooling
from ...models.segmentors import (
    CRFRefined,
    LetterboxEncoderDecoder,
    MaskRCNNSegmentor,
    MonteCarloEncoderDecoder,
    MultiScaleEncoderDecoder,
)
from .pooling import adaptive_mean

# kinds of segmentors whose answer is what encode_decode gives, resized as EncoderDecoder does
_PLAIN = (EncoderDecoder, LetterboxEncoderDecoder, MultiScaleEncoderDecoder)


class LogitsGraph(nn.Module):
    """Normalise an image and run the network on it.

    Args:
        model: Segmentor in evaluation mode that :func:`check_exportable` accepts.

    Shape:
        ``(N, C, H, W)`` float32 to ``(N, K, H, W)``. Values are those of the image file, from 0 to
        255 for 8 bits; three channels are red, green and blue.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.network = model
        mean, std = statistics_of(model)
        self.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer('std', torch.tensor(std).view(-1, 1, 1))
        self.reverses = len(mean) == 3 and not model.data_preprocessor.channel_conversion

    def forward(self, image_NCHW: Tensor) -> Tensor:
        """Return logits at the size of the image."""
        size = image_NCHW.shape[2:]
        x = image_NCHW.flip(1) if self.reverses else image_NCHW  # some networks take BGR
        meta = dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0] * 4)
        return self.network.encode_decode((x - self.mean) / self.std, [meta])


def statistics_of(model: Any) -> tuple[list[float], list[float]]:
    """Return mean and deviation of each channel, by which the network's images are normalised."""
    pre = model.data_preprocessor
    if not getattr(pre, '_enable_normalize', False):
        return [0.0] * 3, [1.0] * 3
    return pre.mean.flatten().tolist(), pre.std.flatten().tolist()


def check_exportable(model: Any) -> None:
    """Refuse a segmentor whose answer is more than one pass of its network.

    Raises:
        ValueError: If it is one; the message says what to export instead.
    """
    if isinstance(model, MonteCarloEncoderDecoder):
        raise ValueError(
            'its answer is a mean over passes with random dropout, which a file cannot hold: '
            'export the config without MonteCarloEncoderDecoder'
        )
    if isinstance(model, CRFRefined):
        raise ValueError(
            'its answer is refined by a dense CRF, which is no network: export the config without '
            'the CRF, and refine with tools/crf.py'
        )
    if isinstance(model, MaskRCNNSegmentor):
        raise ValueError(
            'its answer is painted from the instances that it finds, whose number differs: predict '
            'with its checkpoint, or export another network'
        )
    if not isinstance(model, _PLAIN):
        raise ValueError(f'{type(model).__name__} is no kind of EncoderDecoder')
    if getattr(model.data_preprocessor, 'test_cfg', None):
        raise ValueError('its data_preprocessor.test_cfg changes the size of images: leave it out')


@contextmanager
def recording() -> Iterator[None]:
    """Record graphs in here: nothing of them is trained, and sizes stay open."""
    with torch.no_grad(), any_size_in_mmseg(), any_size_in_pooling(adaptive_mean):
        yield
