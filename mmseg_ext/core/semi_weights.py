"""Select one of the networks in a checkpoint of several, where each has its own prefix."""

from typing import Optional

from torch import Tensor

from .choices import NETWORKS
from .files import PathLike
from .words import check_choice

_ALWAYS = {'student', 'segmentor'}  # every file has one of them


def networks_in(state: dict[str, Tensor]) -> list[str]:
    """List the networks in a checkpoint, the tested one first; empty for a plain segmentor."""
    found = {key.partition('.')[0] for key in state}
    return [name for name in NETWORKS if name in found] if found & _ALWAYS else []


def weights_of_network(
    state: dict[str, Tensor], name: PathLike, *, which: Optional[str] = None
) -> dict[str, Tensor]:
    """Select the weights of one network and rename them as in a plain segmentor.

    Args:
        state: Weights of a checkpoint. Those of a plain segmentor are returned unchanged if
            ``which`` is ``None``.
        name: Name of the file, for messages.
        which: One of ``NETWORKS``; ``None`` selects the one that is tested.

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
