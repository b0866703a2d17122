"""Networks and their parts, one folder per kind; importing registers all of them."""

from . import backbones, decode_heads, layers, losses, necks, segmentors

__all__ = ['backbones', 'decode_heads', 'layers', 'losses', 'necks', 'segmentors']
