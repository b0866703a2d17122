"""What all tests share: the fixtures of ``support``, one thread, and which tests are run."""

import gc
import os

import pytest
import torch
from support.browser import browser_view
from support.checkpoints import random_weights, whole_checkpoint
from support.export import onnx_export
from support.outcomes import Outcomes
from support.ranks import free_port, two_ranks
from support.tiny import tiny_config, tiny_data
from support.warm import python_tool

import mmseg_ext  # noqa: F401  before any test imports mmseg.models, which mmcv-lite alone breaks

__all__ = [
    'browser_view',
    'free_port',
    'onnx_export',
    'python_tool',
    'random_weights',
    'tiny_config',
    'tiny_data',
    'two_ranks',
    'whole_checkpoint',
]

# The tests share two cores with each other; one thread each is faster than two fighting.
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('MMSEG_EXT_PROGRESS', '0')


def pytest_configure(config: pytest.Config) -> None:
    path = os.environ.get('MMSEG_EXT_OUTCOMES')
    if path and not hasattr(config, 'workerinput'):
        config.pluginmanager.register(Outcomes(path))


def pytest_collection_modifyitems(items: list) -> None:
    """Skip slow tests and those for a GPU where they cannot run."""
    slow = pytest.mark.skip(reason='slow: run by make test-full')
    gpu = pytest.mark.skip(reason='needs a CUDA device')
    for item in items:
        if 'slow' in item.keywords and os.environ.get('MMSEG_EXT_SLOW') != '1':
            item.add_marker(slow)
        if 'gpu' in item.keywords and not torch.cuda.is_available():
            item.add_marker(gpu)


def pytest_collection_finish() -> None:
    gc.freeze()  # what is imported is no garbage: data sets collect when built, 0.3 s each time


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
