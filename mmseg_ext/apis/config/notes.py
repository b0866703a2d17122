"""Settings that are allowed and seldom meant: what is said of them before the first step."""

from collections.abc import Collection
from typing import Optional

from mmengine.config import Config

from .loss_terms import logged_terms
from .paramwise import unmatched_keys
from .schedule import late_checkpoints, late_validation


def notes_on(cfg: Config, names: Collection[str]) -> list[str]:
    """List what a training would do that its config seems not to want.

    Args:
        cfg: A complete config.
        names: Names of the model's parameters.

    Returns:
        A sentence for each, with the remedy.
    """
    unmatched = unmatched_keys(cfg.get('optim_wrapper'), names)
    found = (late_validation(cfg), late_checkpoints(cfg), unshuffled(cfg), unmatched)
    return [note for note in found if note] + logged_terms('model', cfg.model)


def unshuffled(cfg: Config) -> Optional[str]:
    """Return a warning if the images of a training come in the order of their list.

    Args:
        cfg: A complete config; mmengine's samplers shuffle unless told otherwise.
    """
    loader = cfg.get('train_dataloader') or {}
    sampler = loader.get('sampler')
    shuffles = sampler.get('shuffle', True) if isinstance(sampler, dict) else sampler is not None
    if not loader or shuffles or loader.get('batch_sampler') or loader.get('shuffle'):
        return None
    return (
        'train_dataloader does not shuffle: the images of a batch are neighbours in their list, '
        "and the same ones each time; give sampler=dict(type='InfiniteSampler', shuffle=True)"
    )
