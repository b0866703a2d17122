"""What is freed is kept for the next array, unless the environment says otherwise."""

import os
import subprocess
import sys

import pytest

from mmseg_ext.core.heap import keep_freed_memory

_FAULTS = """
import os, resource, sys
import numpy as np
from mmseg_ext.core.heap import keep_freed_memory

kept = keep_freed_memory() if sys.argv[1] != 'leave' else False
if sys.argv[1] == 'fork' and (child := os.fork()):
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.empty(2**26, np.uint8)[::4096] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(kept, faults())
"""


def _run(mode: str, **variables: str) -> tuple[str, int]:
    known = {n: v for n, v in os.environ.items() if not n.startswith(('MALLOC_', 'GLIBC_TUN'))}
    done = subprocess.run([sys.executable, '-c', _FAULTS, mode], capture_output=True, text=True,
                          check=True, env={**known, **variables})  # fmt: skip
    kept, faults = done.stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='settings of glibc')
def test_what_was_freed_is_not_mapped_again():
    largest_page = 2**21  # which numpy asks for
    assert _run('leave')[1] >= 4 * 2**26 // largest_page, 'each array is mapped anew'
    kept, faults = _run('keep')
    assert kept == 'True' and faults < 100
    assert _run('fork')[1] >= 4 * 2**26 // largest_page, "a loader's workers give it back"
    assert _run('keep', MALLOC_TRIM_THRESHOLD_='1000000')[0] == 'False'
    assert _run('keep', GLIBC_TUNABLES='glibc.malloc.mmap_max=3')[0] == 'False'


def test_another_c_library_has_no_such_settings(monkeypatch):
    for name in [name for name in os.environ if name.startswith(('MALLOC_', 'GLIBC_TUN'))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr('ctypes.CDLL', lambda name: object())
    assert keep_freed_memory.__wrapped__() is False
    monkeypatch.setattr('sys.platform', 'darwin')
    assert keep_freed_memory.__wrapped__() is False
