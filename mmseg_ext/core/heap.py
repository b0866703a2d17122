"""The memory of freed tensors, which glibc gives back to the system at once."""

import ctypes
import os
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # names of settings in glibc's malloc.h


@cache
def keep_freed_memory() -> bool:
    """Let the C library keep what is freed for what is asked for next, from now on.

    An array of more than 32 MB, such as a map of an image of 1024x1024, is otherwise mapped anew
    each time, and the system clears each of its pages when it is first written: a quarter of the
    time of predicting a large image. The process then holds what it once needed at most, and up to
    a third more, as pieces of other sizes do not fit together.

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
    return all([library.mallopt(_MMAP_MAX, 0), library.mallopt(_TRIM_THRESHOLD, -1)])
