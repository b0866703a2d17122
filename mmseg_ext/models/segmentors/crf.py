"""Segmentor that refines its predictions with a dense CRF at test time.

Source: DeepLab's test procedure: upsample the logits to the size of the image, softmax, dense CRF
on the raw image.
Differs from the public PyTorch port: its ``crf`` command takes images after mean subtraction, whose
values overflow as bytes. Here the image file is read again.
Shape letters: C class, H row, W column (H and W of the original image).
"""

from typing import Any, Optional

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from ...core.probabilities import as_probabilities
from ...core.reading import UnfitImageError, read_color
from ..layers.highest import highest


class CRFRefined(EncoderDecoder):
    """``EncoderDecoder``, or the next class in the method resolution order, with a CRF in testing.

    Training, and validation during training, run without the CRF; ``test_step`` applies it, and
    with it prediction and test-time augmentation. Parameters and checkpoints are those of the
    network. A result has ``pred_sem_seg`` after the CRF and ``pred_sem_seg_nocrf`` before it.
    ``seg_logits`` is the logarithm of the refined probabilities; for a single logit it is the
    probability, as in mmseg. ``SegMetric(pred_field='pred_sem_seg_nocrf', prefix='before_crf')``
    beside the usual metric reports both.

    Args:
        crf: Config of the CRF, such as ``dict(type='DenseCRF', **SETTINGS['deeplabv2_vgg16'])``.
        model: The segmentor's arguments.

    Raises:
        ValueError: In testing, if an image cannot be read again, or its size differs from that of
            the prediction.
    """

    def __init__(self, *, crf: dict, **model: Any) -> None:
        super().__init__(**model)
        self.crf = MODELS.build(crf)
        self._refining = False

    def test_step(self, data: Any) -> list:
        """Predict one batch and refine the predictions."""
        self._refining = True
        try:
            return super().test_step(data)
        finally:
            self._refining = False

    def predict(
        self, inputs: Tensor, data_samples: Optional[list[SegDataSample]] = None
    ) -> list[SegDataSample]:
        """Predict as the network does; within ``test_step``, refine the predictions.

        Args:
            inputs: ``(N, 3, H', W')``, normalised.
            data_samples: One per image; ``img_path`` is the file to read again. Without it, the
                normalisation of ``inputs`` is undone.
        """
        results = super().predict(inputs, data_samples)
        if self._refining:
            for image, sample in zip(inputs, results):
                self._refine(sample, image)
        return results

    def _refine(self, sample: SegDataSample, image: Tensor) -> None:
        logits, path = sample.seg_logits.data, sample.metainfo.get('img_path')
        rgb = self._colors(image, sample)
        if tuple(rgb.shape[1:]) != tuple(logits.shape[1:]):
            raise ValueError(
                f'{path or "the image"} is {tuple(rgb.shape[1:])} and its prediction '
                f'{tuple(logits.shape[1:])}: the test pipeline must record ori_shape'
            )
        q = self.crf(as_probabilities(logits)[None], rgb[None].to(logits.device))[0]
        single = len(logits) == 1
        pred = (q[1:] > self.decode_head.threshold).to(q) if single else highest(q, 0).unsqueeze(0)
        sample.set_data(
            dict(
                pred_sem_seg_nocrf=sample.pred_sem_seg,
                pred_sem_seg=PixelData(data=pred),
                seg_logits=PixelData(data=q[1:] if single else q.clamp(min=1e-12).log()),
            )
        )

    def _colors(self, image: Tensor, sample: SegDataSample) -> Tensor:
        """Return the image that guides the CRF, ``(3, H, W)``."""
        path = sample.metainfo.get('img_path')
        try:
            return read_rgb(path) if path else self._denormalise(image, sample)
        except (
            UnfitImageError
        ):  # of other channels or depth, which the loader has brought to 0..255
            return self._denormalise(image, sample)

    def _denormalise(self, image: Tensor, sample: SegDataSample) -> Tensor:
        """Undo the preprocessor's normalisation, for arrays that come from no 8-bit color file.

        Of more than three channels the first three count, of fewer the first.
        """
        meta, pre = sample.metainfo, self.data_preprocessor
        image = image.detach().float()
        left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', [0] * 4))
        image = image[:, top : image.shape[1] - bottom, left : image.shape[2] - right]
        if meta.get('flip'):
            image = image.flip(2 if meta['flip_direction'] == 'horizontal' else 1)
        if getattr(pre, '_enable_normalize', False):
            image = image * pre.std + pre.mean
        image = image[:3] if len(image) > 2 else image[:1].expand(3, -1, -1)
        if not getattr(pre, 'channel_conversion', False):  # the image is still BGR, as loaded
            image = image.flip(0)
        size = tuple(sample.seg_logits.data.shape[1:])
        image = F.interpolate(image[None], size, mode='bilinear', align_corners=False)[0]
        return image.clamp(0, 255)


@MODELS.register_module(name='CRFEncoderDecoder')
def crf_encoder_decoder(
    *, crf: dict, segmentor: str = 'EncoderDecoder', **model: Any
) -> CRFRefined:
    """Build a segmentor whose predictions a dense CRF refines, see :class:`CRFRefined`.

    Args:
        crf: Config of the CRF.
        segmentor: Registered name of the segmentor to refine, a subclass of ``EncoderDecoder``.
        model: That segmentor's arguments.

    Raises:
        ValueError: If ``segmentor`` is not a subclass of ``EncoderDecoder``.
    """
    base = MODELS.get(segmentor)
    if not (isinstance(base, type) and issubclass(base, EncoderDecoder)):
        raise ValueError(f'segmentor={segmentor!r} is not a registered kind of EncoderDecoder')
    return type(f'CRF{segmentor}', (CRFRefined, base), {})(crf=crf, **model)


crf_encoder_decoder.passes_on_to = EncoderDecoder  # type: ignore[attr-defined]


def read_rgb(path: str) -> Tensor:
    """Read an image file, local or not, as ``(3, H, W)`` uint8 RGB.

    Raises:
        ValueError: If the file cannot be decoded.
    """
    image = read_color(path)
    return torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)))
