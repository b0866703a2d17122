"""Weights of other repositories under our names, every tensor accounted for.

A source says how its names map to ours; ``sources`` knows them all.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    converted_file='convert_file describe notes',
    sources='SOURCES find_source',
)
