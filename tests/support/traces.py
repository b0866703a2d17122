"""What a test may change for those behind it: looked at before and after each, and put back."""

import logging
import os
from collections.abc import Iterator

import pytest
import torch

# name, how it is read, how it is set
_STATES = (
    ('logging.disable', lambda: logging.root.manager.disable, logging.disable),
    ('the working directory', os.getcwd, os.chdir),
    ('the default dtype', torch.get_default_dtype, torch.set_default_dtype),
    ('gradients', torch.is_grad_enabled, torch.set_grad_enabled),
)
_OTHERS = ('PYTEST_', 'KMP_')  # of pytest, and of OpenMP, which sets them when it is loaded


def _variables() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if not name.startswith(_OTHERS)}


def _put_back(before: dict[str, str]) -> None:
    """Tools set variables for the processes that they start, which is no fault in one process."""
    for name in _variables().keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _no_traces() -> Iterator[None]:
    """Fails a test that leaves something changed for the tests behind it."""
    variables, before = _variables(), [read() for _, read, _ in _STATES]
    strict = torch.are_deterministic_algorithms_enabled()
    yield
    left = []
    for (name, read, write), old in zip(_STATES, before):
        if (new := read()) != old:
            left.append(f'{name}: {new}, was {old}')
            write(old)
    _put_back(variables)
    if torch.are_deterministic_algorithms_enabled() != strict:  # a run may ask for it
        torch.use_deterministic_algorithms(strict)
    assert left == [], f'this test leaves behind: {", ".join(left)}'
