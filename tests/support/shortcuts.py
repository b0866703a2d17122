"""What mmengine does again and again in one process, done once, to shorten the tests."""

import copy
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mmseg
import pytest
from mmengine import Config
from mmengine.config import config

from .paths import ROOT

# what no test changes; configs that tests write are read anew each time
_FIXED = tuple(f'{folder}{os.sep}' for folder in (ROOT / 'configs', Path(mmseg.__file__).parent))


def take(patch: pytest.MonkeyPatch) -> None:
    """Take all shortcuts in this process; tools run in processes of their own, without them."""
    _write_configs_as_they_are(patch)
    _read_configs_once(patch)
    # a data set looks for garbage when it is built, 0.3 s among all that tests hold
    patch.setattr('mmengine.dataset.base_dataset.gc', SimpleNamespace(collect=lambda: 0))


def _as_it_is(text: str, **_: Any) -> tuple[str, bool]:
    return text, True


def _write_configs_as_they_are(patch: pytest.MonkeyPatch) -> None:
    patch.setattr('yapf.yapflib.yapf_api.FormatCode', _as_it_is)  # the fork imports it each time
    if hasattr(config, 'FormatCode'):
        patch.setattr(config, 'FormatCode', _as_it_is)


def _read_configs_once(patch: pytest.MonkeyPatch) -> None:
    """Read each config of the package and of mmseg once for all that inherit it."""
    read = Config._file2dict
    kept: dict = {}

    def once(filename: Any, *args: Any, **kwargs: Any) -> tuple:
        path = os.path.abspath(os.path.expanduser(filename))
        if not path.startswith(_FIXED):
            return read(filename, *args, **kwargs)
        variables = {k: v for k, v in os.environ.items() if k != 'PYTEST_CURRENT_TEST'}
        key = (path, repr((args, kwargs)), frozenset(variables.items()))
        if key not in kept:
            kept[key] = read(filename, *args, **kwargs)
        return copy.deepcopy(kept[key])

    patch.setattr(Config, '_file2dict', staticmethod(once))
