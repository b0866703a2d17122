"""Draw images with rare classes more often.

Source: "LVIS", CVPR 2019, https://arxiv.org/abs/1908.03195, section 3.5 (repeat factor sampling),
with the random rounding of Detectron2's ``RepeatFactorTrainingSampler``.
Differs from it: classes are those that an image's mask holds, and the threshold is the median of
the classes' frequencies unless it is given; LVIS takes 0.001 for its 1,200 classes.
Shape letters: N image, K class.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Optional

import torch
from mmengine.dist import broadcast_object_list, get_dist_info, sync_random_seed
from mmengine.logging import print_log
from mmseg.registry import DATA_SAMPLERS
from torch import Tensor
from torch.utils.data import Sampler

from ..core.labels import LOADERS


def repeat_factors(present_NK: Tensor, threshold: Optional[float] = None) -> Tensor:
    """Say how often each image is to be drawn, relative to images of common classes.

    A class that the share f of all images holds asks for ``max(1, sqrt(threshold / f))``; an image
    gets the largest of its classes' numbers.

    Args:
        present_NK: Whether an image holds a class.
        threshold: Share of images below which a class is rare; ``None`` takes the median of the
            shares of the classes that occur.

    Returns:
        ``(N,)``, at least 1.
    """
    share_K = present_NK.double().mean(dim=0)
    found = share_K > 0
    if threshold is None:
        threshold = float(share_K[found].quantile(0.5)) if found.any() else 0.0
    factor_K = torch.ones_like(share_K)
    factor_K[found] = (threshold / share_K[found]).sqrt().clamp_min(1)
    return torch.where(present_NK, factor_K, 1.0).amax(dim=1)


@DATA_SAMPLERS.register_module()
class BalancedSampler(Sampler):
    """Go through the images in random order, each as often as :func:`repeat_factors` says.

    A factor of 2.3 is two times in every pass, and a third time in 0.3 of the passes. The masks are
    read once, when the sampler is built. The processes of a run take turns. Iterating anew draws
    the same again, so that a resumed run meets the same images.

    Args:
        dataset: A data set whose pipeline loads masks.
        threshold: See :func:`repeat_factors`.
        seed: Of the shuffles, the same in all processes; drawn without it.
        endless: Go on for ever, for loops of iterations. Otherwise an epoch draws as many images as
            there are, and the next goes on where it ended.

    Raises:
        ValueError: If the data set is joined of several, has no image or no loader of masks, or the
            threshold is not a share.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        threshold: Optional[float] = None,
        seed: Optional[int] = None,
        endless: bool = True,
    ) -> None:
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f'BalancedSampler: threshold must be in (0, 1], got {threshold}')
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.factors_N = repeat_factors(_counted(dataset, self.rank), threshold)
        self.endless = endless
        self.epoch = 0
        print_log(
            f'{len(self.factors_N)} images are drawn up to {float(self.factors_N.max()):.3g} times '
            f'as often as others, {int((self.factors_N > 1).sum())} more often than once a pass',
            'current',
        )

    def __iter__(self) -> Iterator[int]:
        mine = islice(self._passes(), self.rank, None, self.world_size)
        if self.endless:
            return mine
        return islice(mine, self.epoch * len(self), (self.epoch + 1) * len(self))

    def _passes(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed)
        whole_N = self.factors_N.floor()
        while True:
            more_N = torch.rand(len(whole_N), generator=generator) < self.factors_N - whole_N
            times_N = (whole_N + more_N).long()
            drawn = torch.arange(len(whole_N)).repeat_interleave(times_N)
            yield from drawn[torch.randperm(len(drawn), generator=generator)].tolist()

    def __len__(self) -> int:
        """Images of an epoch in each process."""
        return -(-len(self.factors_N) // self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Go on where the epoch before this one ended."""
        self.epoch = epoch


def _counted(dataset: Any, rank: int) -> Tensor:
    """Read which classes each mask holds, ``(N, K)``; the first process reads for all."""
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    loaders = [step for step in steps if type(step).__name__ in LOADERS]
    if not loaders or not len(dataset):
        raise ValueError(
            'BalancedSampler needs one data set with images and masks, and '
            f'{type(dataset).__name__} has {len(dataset)} images and {len(loaders)} steps of its '
            f'pipeline among {LOADERS}'
        )
    found: list = [None]
    if rank == 0:
        found = [torch.stack([_present(dataset, loaders[0], i) for i in range(len(dataset))])]
    broadcast_object_list(found)
    present_NK: Tensor = found[0]
    return present_NK


def _present(dataset: Any, load: Any, index: int) -> Tensor:
    label = load(dict(dataset.get_data_info(index), seg_fields=[]))['gt_seg_map']
    classes = len(dataset.metainfo['classes'])
    values = torch.from_numpy(label.astype('int64')).unique()
    present_K = torch.zeros(classes, dtype=torch.bool)
    present_K[values[(values >= 0) & (values < classes) & (values != dataset.ignore_index)]] = True
    return present_K
