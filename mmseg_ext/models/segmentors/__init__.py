"""Segmentors that differ from mmseg's in their training or inference flow."""

from .letterbox import LetterboxEncoderDecoder

__all__ = ['LetterboxEncoderDecoder']
