"""Predictions of labels alone, for whoever needs no logits: no map of the full size is made.

mmseg resizes the logits of every class to the size of the image, and then takes the highest. For
21 classes and 512x512 pixels these are 22 MB an image, and for 150 classes they cost more time than
many networks. See :mod:`..layers.upsampled_argmax`, whose labels are the same.
Shape letters: N image, K class, h w of the head, H W of the image.
"""

from typing import Any

from mmengine.structures import PixelData
from mmseg.models.decode_heads import EncHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor

from ..layers.upsampled_argmax import upsampled_argmax
from .letterbox import LetterboxEncoderDecoder
from .multi_scale import MultiScaleEncoderDecoder

# Methods whose result is known here, by the classes that they are of.
_OF_MODEL = dict(
    predict=(EncoderDecoder,),
    inference=(EncoderDecoder,),
    whole_inference=(EncoderDecoder,),
    encode_decode=(EncoderDecoder, MultiScaleEncoderDecoder),
    _forward=(EncoderDecoder, MultiScaleEncoderDecoder),
    postprocess_result=(BaseSegmentor, LetterboxEncoderDecoder),
)
_OF_HEAD = dict(predict=(BaseDecodeHead, EncHead), predict_by_feat=(BaseDecodeHead,))


def can_give_labels_alone(model: Any) -> bool:
    """Whether the labels of a model are the arg-max of one map of logits, resized bilinearly.

    Not of a model that predicts window by window, has a single logit, or predicts by methods of its
    own, as with several passes or a CRF.
    """
    if not isinstance(model, EncoderDecoder):
        return False
    head: Any = model.decode_head
    return (
        _is_known(model, _OF_MODEL)
        and isinstance(head, BaseDecodeHead)
        and _is_known(head, _OF_HEAD)
        and head.out_channels > 1
        and model.test_cfg.get('mode', 'whole') == 'whole'
    )


def _is_known(part: Any, methods: dict[str, tuple]) -> bool:
    return all(
        getattr(type(part), name) in [getattr(owner, name) for owner in owners]
        for name, owners in methods.items()
    )


def predict_labels(
    model: EncoderDecoder, inputs: Tensor, data_samples: list[SegDataSample]
) -> list[SegDataSample]:
    """Predict labels at the size of the images; see :func:`can_give_labels_alone`.

    Args:
        model: A segmentor in evaluation mode.
        inputs: Images, ``(N, C, H, W)``, as the preprocessor gives them.
        data_samples: A sample for each image, with mmseg's facts of sizes, padding and flip.

    Returns:
        The samples with ``pred_sem_seg``, ``(1, H, W)`` int64 of the original size.

    Raises:
        ValueError: If the model answers with NaN.
    """
    head: Any = model.decode_head
    logits_NKhw = _logits(model, inputs)
    if logits_NKhw.isnan().any():
        raise ValueError('the model answers with NaN')
    metas = [sample.metainfo for sample in data_samples]
    size = tuple(metas[0].get('pad_shape', metas[0]['img_shape'])[:2])
    if all(_is_cropped_only(meta, size) for meta in metas):
        label_NHW = upsampled_argmax(logits_NKhw, size, align_corners=head.align_corners)
        labels = [_flipped(_cropped(one, meta), meta) for one, meta in zip(label_NHW, metas)]
    else:
        logits_NKHW = head.predict_by_feat(logits_NKhw, metas)
        labels = [_of_original_size(model, one, meta) for one, meta in zip(logits_NKHW, metas)]
    for sample, label in zip(data_samples, labels):
        sample.set_data(dict(pred_sem_seg=PixelData(data=label.unsqueeze(0))))
    return data_samples


def _logits(model: EncoderDecoder, inputs: Tensor) -> Tensor:
    """Logits of the head's size. Some heads give more beside them in evaluation, too."""
    found: Any = model._forward(inputs)
    return found[0] if isinstance(found, (list, tuple)) else found


def _is_cropped_only(meta: dict, size: tuple) -> bool:
    """Whether the original image is a part of the network's input, at the same scale."""
    left, right, top, bottom = _padding(meta)
    kept = (size[0] - top - bottom, size[1] - left - right)
    return kept == tuple(meta['ori_shape'][:2])


def _of_original_size(model: EncoderDecoder, logits_KHW: Tensor, meta: dict) -> Tensor:
    align_corners: bool = model.align_corners  # type: ignore[assignment]
    if isinstance(model, LetterboxEncoderDecoder):  # resizes probabilities
        logits_KHW, align_corners = logits_KHW.softmax(0), False
    part = _flipped(_cropped(logits_KHW, meta), meta).unsqueeze(0)
    size = tuple(meta['ori_shape'][:2])
    return upsampled_argmax(part, size, align_corners=align_corners)[0]


def _padding(meta: dict) -> tuple:
    return tuple(meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0))))


def _cropped(maps: Tensor, meta: dict) -> Tensor:
    left, right, top, bottom = _padding(meta)
    height, width = maps.shape[-2:]
    return maps[..., top : height - bottom, left : width - right]


def _flipped(maps: Tensor, meta: dict) -> Tensor:
    if not meta.get('flip'):
        return maps
    return maps.flip(-1 if meta.get('flip_direction') == 'horizontal' else -2)
