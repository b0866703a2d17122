"""Pictures, curves and the frame of a page, made of plain values.

Knows nothing of runs: what it draws is handed in.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    curves='read_curves',
    html='render',
    markdown='markdown_table',
    pixels='colorize encode encode_below encode_flat error_picture overlay picture_grid shrink',
)
