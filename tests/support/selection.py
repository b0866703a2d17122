"""Which tests are run: those that start something are marked, others skipped where they cannot."""

import os
from collections.abc import Iterable

import pytest
import torch

# who asks for one of these starts processes, trains, exports, or opens a browser
RUNNING = frozenset(
    ('browser_page', 'browser_view', 'onnx_export', 'python_tool', 'tiny_config', 'two_ranks')
)


def starts_something(fixtures: Iterable[str]) -> bool:
    """Whether a test with these fixtures does more than compute."""
    return not RUNNING.isdisjoint(fixtures)


def mark(items: list) -> None:
    """Mark the tests that start something, and skip slow tests and those for a GPU without one."""
    slow = pytest.mark.skip(reason='slow: run by make test-full')
    gpu = pytest.mark.skip(reason='needs a CUDA device')
    for item in items:
        if starts_something(getattr(item, 'fixturenames', ())):
            item.add_marker('runs')
        if 'slow' in item.keywords and os.environ.get('MMSEG_EXT_SLOW') != '1':
            item.add_marker(slow)
        if 'gpu' in item.keywords and not torch.cuda.is_available():
            item.add_marker(gpu)
