"""Pictures, curves, tables and HTML pages, made from plain values.

Nothing here reads the folder of a run: callers hand over what is to be shown.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    curves='read_curves',
    html='render',
    markdown='markdown_table',
    pixels='colorize encode encode_below encode_flat error_picture overlay picture_grid shrink',
)
