"""The memory of freed tensors, which glibc gives back to the system at once."""

import ctypes
import os
import sys
from functools import cache, partial
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # settings in glibc's malloc.h
# What glibc comes to by itself, where large arrays are made and freed.
_USUAL = ((_MMAP_THRESHOLD, 2**25), (_TRIM_THRESHOLD, 2**26), (_MMAP_MAX, 2**16))


@cache
def keep_freed_memory() -> bool:
    """Let the C library keep what is freed for what is asked for next, from now on.

    An array of more than 32 MB, such as a map of an image of 1024x1024, is otherwise mapped anew
    each time, and the system clears each of its pages when it is first written: a quarter of the
    time of predicting a large image. The process then holds what it once needed at most, and up to
    a third more, as pieces of other sizes do not fit together. Those that are forked from it, such
    as a loader's workers, give memory back as before.

    Returns:
        Whether it does: not on other systems and C libraries, and not where a variable of the
        environment (``MALLOC_...``, ``GLIBC_TUNABLES``) says how memory is kept.
    """
    chosen = any(name.startswith(('MALLOC_', 'GLIBC_TUNABLES')) for name in os.environ)
    if chosen or not sys.platform.startswith('linux'):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, 'gnu_get_libc_version'):  # musl has no such settings
        return False
    os.register_at_fork(after_in_child=partial(_set, library, _USUAL))
    return _set(library, ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1)))


def keep_freed_memory_of(model: Any) -> None:
    """Call :func:`keep_freed_memory` if a model computes on the CPU."""
    if next((weight.device.type for weight in model.parameters()), 'cpu') == 'cpu':
        keep_freed_memory()


def _set(library: Any, settings: tuple[tuple[int, int], ...]) -> bool:
    return all([library.mallopt(name, value) for name, value in settings])
