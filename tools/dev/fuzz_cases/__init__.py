"""Bad inputs of every kind that a tool takes, made from a seed.

Each maker yields cases: how the input is written, which tools get it, and what their answer must
name. ``broken`` says that there is no right answer but a refusal.
"""

import random
from collections.abc import Callable, Iterator

from fuzz_world import World

from .case import Case
from .checkpoints import checkpoint_cases
from .configs import config_cases, option_cases
from .data_files import data_file_cases
from .run_files import run_file_cases

MAKERS: dict[str, Callable[[World, random.Random], Iterator[Case]]] = {
    'checkpoints': checkpoint_cases,
    'data': data_file_cases,
    'configs': config_cases,
    'options': option_cases,
    'runs': run_file_cases,
}
