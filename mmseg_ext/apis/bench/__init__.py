"""Benchmarks: this package against what it replaces, both timed in one process.

Importing one of its modules registers its benchmarks.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    timing='BENCHMARKS compare register',
)
