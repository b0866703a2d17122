"""What all tests share: the fixtures of ``support``, one thread, and which tests are run."""

import gc
import importlib
import os
from collections.abc import Iterator

import pytest
import torch
from support import selection, shortcuts
from support.browser import browser_view
from support.checkpoints import random_weights, whole_checkpoint
from support.chromium import browser_page
from support.distributions import installed_are
from support.export import onnx_export
from support.half import half
from support.outcomes import Outcomes
from support.ranks import free_port, two_ranks
from support.tiny import tiny_config, tiny_data
from support.traces import _no_traces
from support.warm import python_tool

import mmseg_ext  # noqa: F401  before any test imports mmseg.models, which mmcv-lite alone breaks

__all__ = [
    '_no_traces',
    'browser_page',
    'browser_view',
    'free_port',
    'half',
    'installed_are',
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
    shortcuts.take(pytest.MonkeyPatch())  # to the end of the process
    path = os.environ.get('MMSEG_EXT_OUTCOMES')
    if path and not hasattr(config, 'workerinput'):
        config.pluginmanager.register(Outcomes(path))


@pytest.hookimpl(tryfirst=True)  # before -m chooses by the marks
def pytest_collection_modifyitems(items: list) -> None:
    selection.mark(items)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    gc.disable()  # imports make half a million objects and no garbage
    try:
        result = yield
        importlib.import_module('torch._dynamo')  # the first step of an optimiser would
    finally:
        gc.freeze()  # a collection need not look at them again
        gc.enable()
    return result


@pytest.fixture(autouse=True, scope='module')
def _kept_objects_are_no_garbage() -> Iterator[None]:
    """After a file of tests: a collection need not look again at what has outlived them."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
