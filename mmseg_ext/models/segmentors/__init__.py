"""Segmentors that differ from mmseg's in their training or inference flow."""

from .letterbox import LetterboxEncoderDecoder
from .multi_scale import MultiScaleEncoderDecoder

__all__ = ['LetterboxEncoderDecoder', 'MultiScaleEncoderDecoder']
