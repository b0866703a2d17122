"""Segmentors that differ from mmseg's in their training or inference flow."""

from .letterbox import LetterboxEncoderDecoder
from .monte_carlo import MonteCarloEncoderDecoder
from .multi_scale import MultiScaleEncoderDecoder

__all__ = ['LetterboxEncoderDecoder', 'MonteCarloEncoderDecoder', 'MultiScaleEncoderDecoder']
