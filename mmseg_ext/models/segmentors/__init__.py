"""Segmentors that train or predict in another way than mmseg's."""

from .crf import CRFRefined, crf_encoder_decoder
from .letterbox import LetterboxEncoderDecoder
from .mask_rcnn import MaskRCNNSegmentor
from .monte_carlo import MonteCarloEncoderDecoder
from .multi_scale import MultiScaleEncoderDecoder

__all__ = [
    'CRFRefined',
    'LetterboxEncoderDecoder',
    'MaskRCNNSegmentor',
    'MonteCarloEncoderDecoder',
    'MultiScaleEncoderDecoder',
    'crf_encoder_decoder',
]
