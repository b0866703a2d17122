"""Runs a tool in this process, where a test may stand something in for its parts."""

import importlib.util
from types import ModuleType

from .paths import ROOT


def load_tool(name: str) -> ModuleType:
    """The module ``tools/<name>.py``, new at each call."""
    path = ROOT / 'tools' / f'{name}.py'
    spec = importlib.util.spec_from_file_location(f'tool_{path.stem}', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
