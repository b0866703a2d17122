"""Checkpoints of semi-supervised runs hold several networks, each under its prefix."""

from typing import Optional

from torch import Tensor

from .files import PathLike
from .words import check_choice

NETWORKS = ('teacher', 'student', 'peer')  # the first one that is there is what is tested


def networks_in(state: dict[str, Tensor]) -> list[str]:
    """Networks that weights belong to, the tested one first; empty for a plain segmentor's."""
    found = {key.partition('.')[0] for key in state}
    return [name for name in NETWORKS if name in found] if 'student' in found else []


def weights_of_network(
    state: dict[str, Tensor], name: PathLike, *, which: Optional[str] = None
) -> dict[str, Tensor]:
    """Weights of one network, under the names that a plain segmentor has.

    Args:
        state: Of a checkpoint; a plain segmentor's is returned as it is, unless ``which`` is given.
        name: Of the file, for messages.
        which: One of ``NETWORKS``; ``None`` takes the one that is tested.

    Raises:
        ValueError: If the file holds no such network.
    """
    found = networks_in(state)
    if which is None and not found:
        return state
    if not found:
        raise ValueError(f'{name} holds a single network, no {which}: it can be used as it is')
    which = which or found[0]
    check_choice(f'{name}: network', which, found)
    start = f'{which}.'
    return {k.removeprefix(start): value for k, value in state.items() if k.startswith(start)}
