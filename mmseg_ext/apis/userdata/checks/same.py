"""Which of many images or masks are the same, found with 8 bytes for each.

Numbers that are equal only suggest it: what is behind them is then compared.
"""

from array import array
from collections import defaultdict

import numpy as np

from ....core.spool import Stored
from .findings import First, Sample

_SHOWN = 5  # most files that a message names


class Same:
    """Images with the same pixels: how many, their splits, and some of them as text."""

    def __init__(self) -> None:
        self.first = First(_SHOWN)
        self.parts: set[str] = set()

    def add(self, sample: Sample) -> None:
        """Count one more."""
        self.first.add(f'{sample.part}: {sample.pair.image}')
        self.parts.add(sample.part)


def same_images(samples: Stored[Sample]) -> list[Same]:
    """Find images that have the same pixels, by their digests; blank ones are left out."""
    places, keys = array('i'), array('Q')
    for place, sample in enumerate(samples):
        if sample.digest and not sample.blank:
            places.append(place)
            keys.append(int(sample.digest[:16], 16))
    groups: dict[str, Same] = defaultdict(Same)
    for index in repeated(np.frombuffer(keys, np.uint64)):  # in order, as the file is read
        sample = samples[places[index]]
        groups[sample.digest].add(sample)
    return [group for group in groups.values() if group.first.count > 1]


def one_of_each_mask(samples: Stored[Sample]) -> Stored[Sample]:
    """Return the samples with facts, the last of each mask, in the order of the first ones.

    Two splits may hold the same files.
    """
    places, keys = array('i'), array('q')
    for place, sample in enumerate(samples):
        if sample.facts is not None:
            places.append(place)
            keys.append(hash(sample.pair.mask))
    first: dict[str, int] = {}
    gone = set()
    for index in repeated(np.frombuffer(keys, np.int64)):
        own = first.setdefault(samples[places[index]].pair.mask, index)
        if own != index:
            places[own] = places[index]
            gone.add(index)
    return samples.take(p for index, p in enumerate(places) if index not in gone)


def repeated(keys: np.ndarray) -> list[int]:
    """Return the places of numbers ``(N,)`` that occur more than once, in ascending order."""
    order = np.argsort(keys, kind='stable')
    ordered = keys[order]
    twice = ordered[1:] == ordered[:-1]
    marked = np.zeros(len(keys), bool)
    marked[order[1:][twice]] = True
    marked[order[:-1][twice]] = True
    return np.flatnonzero(marked).tolist()
