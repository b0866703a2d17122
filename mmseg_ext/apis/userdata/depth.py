"""Channels and value range of images that are not of 8-bit color, for the data set file."""

from collections.abc import Sequence

from ...core.headers import Header
from ...core.reading import Picture, read_picture
from .find.pairs import Layout
from .scan import in_threads

_BITS = (10, 12, 14, 16)  # of cameras and scanners that store 16


def white_of(largest: int) -> int:
    """Return the value that counts as white in images of 16 bits: the end of 10, 12, 14 or 16."""
    return next(2**bits - 1 for bits in _BITS if largest < 2**bits)


def note_depth(layout: Layout, paths: Sequence[str]) -> None:
    """Set channels and white of a layout whose images are not of 8-bit color, with a note.

    Args:
        layout: Changed in place.
        paths: Some of its images. If one cannot be read, or they differ, nothing is set.
    """
    try:
        pictures = in_threads(read_picture, paths)
    except (OSError, ValueError):
        return  # the check, and training, name the file
    channels = {_channels(picture.header) for picture in pictures}
    types = {picture.header.dtype for picture in pictures}
    if len(channels) > 1 or len(types) > 1:
        return
    if channels.isdisjoint({1, 3}):
        layout.image_channels = channels.pop()
        layout.notes.append(f'images of {layout.image_channels} channels: image_channels')
    if types == {'uint16'}:
        layout.image_max_value = white_of(max(_largest(picture) for picture in pictures))
        layout.notes.append(
            f'images of 16 bits, of which {layout.image_max_value} counts as white, by the '
            f'{len(pictures)} that were looked at: image_max_value'
        )


def _channels(header: Header) -> int:
    """Return the channels besides opacity; grey pages are channels."""
    return header.pages if header.pages > 1 else header.channels - header.alpha


def _largest(picture: Picture) -> int:
    colors = picture.pixels[..., : _channels(picture.header)]
    return int(colors.max())
