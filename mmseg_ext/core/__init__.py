"""What every other part may import, and what imports nothing of ours: files, labels, words."""

from .files import PathLike, read_json, replacing, write_bytes, write_json

__all__ = ['PathLike', 'read_json', 'replacing', 'write_bytes', 'write_json']
