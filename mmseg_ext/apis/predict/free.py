"""How much memory this process may still allocate."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


def free_memory(device: Any = 'cpu') -> int:
    """Return the bytes that this process may still allocate: machine, container and limits."""
    device = torch.device(device)
    if device.type == 'cuda':
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    known = [*_of_machine(), *_of_container(), *_of_limit()]
    return max(0, min(known, default=1 << 62))


def _of_machine() -> Iterator[int]:
    with suppress(OSError, ValueError, IndexError):
        for line in Path('/proc/meminfo').read_text().splitlines():
            if line.startswith('MemAvailable:'):
                yield int(line.split()[1]) * 1024


def _of_container() -> Iterator[int]:
    """Yield the free bytes in the control groups of the process, version 2 and 1."""
    with suppress(OSError):
        for line in Path('/proc/self/cgroup').read_text().splitlines():
            number, kinds, name = line.split(':', 2)
            if number == '0' or 'memory' in kinds.split(','):
                root = Path('/sys/fs/cgroup') if number == '0' else Path('/sys/fs/cgroup/memory')
                inner = root / name.lstrip('/')
                for folder in (inner, *inner.parents):
                    yield from _of_group(folder)
                    if folder == root:
                        break


def _of_group(folder: Path) -> Iterator[int]:
    for limit, used in (
        ('memory.max', 'memory.current'),
        ('memory.limit_in_bytes', 'memory.usage_in_bytes'),
    ):
        with suppress(OSError, ValueError):  # "max" means no limit
            total, taken = (int((folder / name).read_text()) for name in (limit, used))
            yield total - taken + _cached(folder)


def _cached(folder: Path) -> int:
    """Return the bytes of cached files, which the kernel can free."""
    with suppress(OSError, ValueError):
        for line in (folder / 'memory.stat').read_text().splitlines():
            if line.startswith(('inactive_file ', 'total_inactive_file ')):
                return int(line.split()[1])
    return 0


def _of_limit() -> Iterator[int]:
    """Yield the bytes that ``ulimit -v`` leaves."""
    if resource is None:
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        with suppress(OSError, ValueError, IndexError):
            pages = int(Path('/proc/self/statm').read_text().split()[0])
            yield limit - pages * os.sysconf('SC_PAGE_SIZE')
