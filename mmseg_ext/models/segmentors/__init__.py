"""Segmentors that train or predict in another way than mmseg's."""

from .crf import CRFRefined, crf_encoder_decoder
from .letterbox import LetterboxEncoderDecoder
from .mask_rcnn import MaskRCNNSegmentor
from .monte_carlo import MonteCarloEncoderDecoder
from .multi_scale import MultiScaleEncoderDecoder
from .semi import SemiSegmentor
from .semi_inputs import SemiDataPreProcessor

__all__ = [
    'CRFRefined',
    'LetterboxEncoderDecoder',
    'MaskRCNNSegmentor',
    'MonteCarloEncoderDecoder',
    'MultiScaleEncoderDecoder',
    'SemiDataPreProcessor',
    'SemiSegmentor',
    'crf_encoder_decoder',
]
