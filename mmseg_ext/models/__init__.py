"""."""
from . import backbones, decode_heads, layers, losses, necks, segmentors  # noqa: F401
