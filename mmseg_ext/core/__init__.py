"""Files, images, labels, messages: every other part may import core, core imports none of them."""

from .files import PathLike, read_json, replacing, write_bytes, write_json

__all__ = ['PathLike', 'read_json', 'replacing', 'write_bytes', 'write_json']
