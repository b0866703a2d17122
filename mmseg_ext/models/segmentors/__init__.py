"""Segmentors that differ from mmseg's in their training or inference flow."""

from .crf import CRFEncoderDecoder
from .letterbox import LetterboxEncoderDecoder
from .mask_rcnn import MaskRCNNSegmentor
from .monte_carlo import MonteCarloEncoderDecoder
from .multi_scale import MultiScaleEncoderDecoder

__all__ = [
    'CRFEncoderDecoder',
    'LetterboxEncoderDecoder',
    'MaskRCNNSegmentor',
    'MonteCarloEncoderDecoder',
    'MultiScaleEncoderDecoder',
]
