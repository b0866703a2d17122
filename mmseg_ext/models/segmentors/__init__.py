"""Segmentors that train or predict in another way than mmseg's."""

from .adversarial import AdversarialSegmentor
from .averaged import AveragedTTAModel
from .crf import CRFRefined, crf_encoder_decoder
from .letterbox import LetterboxEncoderDecoder
from .mask_rcnn import MaskRCNNSegmentor
from .monte_carlo import MonteCarloEncoderDecoder
from .multi_scale import MultiScaleEncoderDecoder
from .semi import SemiSegmentor
from .semi_inputs import SemiDataPreProcessor

__all__ = [
    'AdversarialSegmentor',
    'AveragedTTAModel',
    'CRFRefined',
    'LetterboxEncoderDecoder',
    'MaskRCNNSegmentor',
    'MonteCarloEncoderDecoder',
    'MultiScaleEncoderDecoder',
    'SemiDataPreProcessor',
    'SemiSegmentor',
    'crf_encoder_decoder',
]
