"""Batches of two data sets: so many labelled and so many unlabelled images in each."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Optional

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import Sampler


@DATA_SAMPLERS.register_module()
class LabelledUnlabelledSampler(Sampler):
    """Draw so many indices of the first data set, then so many of the second, and so on.

    Each data set is shuffled anew whenever it has been gone through, by a generator of its own; the
    processes of a run take turns. Iterating anew draws the same again, so that a resumed run meets
    the same images.

    Args:
        dataset: ``ConcatDataset`` of two, the labelled one first.
        labelled: Images of the first in a batch, per process.
        unlabelled: Images of the second in a batch, per process. The loader's ``batch_size`` is the
            sum of both.
        seed: Of the shuffles, the same in all processes; drawn without it.
        endless: Go on for ever, for loops of iterations. Otherwise an epoch is one pass over the
            labelled images, the rest that fills no batch being left to the next.

    Raises:
        ValueError: If there are not two data sets, one is empty, or a number is below 1.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        labelled: int,
        unlabelled: int,
        seed: Optional[int] = None,
        endless: bool = True,
    ) -> None:
        parts = getattr(dataset, 'datasets', ())
        self.sizes = [len(part) for part in parts]
        if len(self.sizes) != 2 or 0 in self.sizes:
            raise ValueError(
                'LabelledUnlabelledSampler needs a ConcatDataset of two data sets with images, '
                f'labelled and unlabelled, got {self.sizes or type(dataset).__name__}'
            )
        if min(labelled, unlabelled) < 1:
            raise ValueError(
                'a batch needs at least one image of each kind, got '
                f'labelled={labelled}, unlabelled={unlabelled}'
            )
        self.counts = (labelled, unlabelled)
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.endless = endless
        self.epoch = 0

    @property
    def _rounds(self) -> int:
        """Batches of an epoch."""
        return max(1, self.sizes[0] // (self.counts[0] * self.world_size))

    def __iter__(self) -> Iterator[int]:
        streams = [self._stream(part) for part in (0, 1)]
        done = 0 if self.endless else self.epoch * self._rounds
        for stream, count in zip(streams, self.counts):
            next(islice(stream, done * count, done * count), None)
        rounds = 0
        while self.endless or rounds < self._rounds:
            for stream, count in zip(streams, self.counts):
                yield from islice(stream, count)
            rounds += 1

    def _stream(self, part: int) -> Iterator[int]:
        return islice(self._shuffles(part), self.rank, None, self.world_size)

    def _shuffles(self, part: int) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 2 + part)
        start = sum(self.sizes[:part])
        while True:
            order = torch.randperm(self.sizes[part], generator=generator)
            yield from (order + start).tolist()

    def __len__(self) -> int:
        """Images of an epoch; of all images where there are no epochs."""
        return sum(self.sizes) if self.endless else self._rounds * sum(self.counts)

    def set_epoch(self, epoch: int) -> None:
        """Go on where the epoch before this one ended."""
        self.epoch = epoch
