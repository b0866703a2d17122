"""Runs code in several processes of one group, as training on several devices does."""

import socket
import textwrap
from pathlib import Path

import pytest

from .paths import ROOT
from .warm import run_python

_RANKS = """
import os
import sys
from datetime import timedelta
from os import environ

from torch import distributed

sys.path.insert(0, {tests!r})  # where ``support`` is


def work(rank):
{code}


def run(rank):
    sys.stdout = open(f'{folder}/rank{{rank}}.txt', 'w')
    environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='{count}')
    distributed.init_process_group(
        'gloo', init_method='tcp://127.0.0.1:{port}', rank=rank, world_size={count},
        timeout=timedelta(seconds={limit}))
    work(rank)
    distributed.destroy_process_group()
    sys.stdout.close()


children = []
for rank in range(1, {count}):
    child = os.fork()
    if child == 0:
        run(rank)
        os._exit(0)
    children.append(child)
run(0)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


@pytest.fixture
def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.fixture
def two_ranks(tmp_path: Path, free_port: int):
    """Runs code in the processes of one group, two by default, each with its ``rank``."""

    def run(code: str, count: int = 2, limit: int = 600) -> list:
        code = textwrap.indent(textwrap.dedent(code), '    ')
        script = tmp_path / 'ranks.py'
        place = dict(folder=tmp_path, port=free_port, tests=str(ROOT / 'tests'))
        script.write_text(_RANKS.format(code=code, count=count, limit=limit, **place))
        run_python(script, timeout=600)  # seconds on a quiet machine, minutes on a crowded one
        return [(tmp_path / f'rank{rank}.txt').read_text() for rank in range(count)]

    return run
