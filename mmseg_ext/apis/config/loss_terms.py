"""Find the loss terms of a config that a training leaves out of the loss.

Source: mmengine's ``parse_losses``, which adds up what a model returns under a name with ``loss``
in it, and logs the rest.
"""

from collections.abc import Mapping
from typing import Any


def logged_terms(path: str, value: Any) -> list[str]:
    """Say which terms of a loss are logged and do not train.

    Args:
        path: Where the value stands in a config, such as ``'model'``.
        value: Of the config, with all that is within.
    """
    if isinstance(value, (list, tuple)):
        value = {str(number): item for number, item in enumerate(value)}
    if not isinstance(value, Mapping):
        return []
    name = value.get('loss_name')
    found = []
    if isinstance(name, str) and 'loss' not in name:
        found.append(
            f'{path}.loss_name={name!r}: a term without "loss" in its name is logged and does not '
            f'train; loss_{name} would'
        )
    for key, item in value.items():
        found += logged_terms(f'{path}.{key}', item)
    return found
