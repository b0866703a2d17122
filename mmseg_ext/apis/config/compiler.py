"""Whether ``torch.compile`` finds a compiler here, told before anything is built."""

import importlib.util
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Optional

import torch


def compiler_problem() -> Optional[str]:
    """Say why ``torch.compile`` cannot make code for this machine; ``None`` if it can.

    Triton makes the code for a GPU, and a C++ compiler that for a CPU, with Python's headers.
    """
    if torch.cuda.is_available():
        lacks = importlib.util.find_spec('triton') is None
        return 'torch.compile needs triton on a GPU: pip install triton' if lacks else None
    default = 'clang++' if sys.platform == 'darwin' else 'g++'
    name = os.environ.get('CXX', default)
    if shutil.which(name) is None:
        remedy = 'correct or unset CXX' if 'CXX' in os.environ else 'apt install g++'
        return f'torch.compile needs a C++ compiler, and there is no {name}: {remedy}'
    if not Path(sysconfig.get_paths()['include'], 'Python.h').is_file():
        return "torch.compile needs Python's headers (Python.h): apt install python3-dev"
    return None
