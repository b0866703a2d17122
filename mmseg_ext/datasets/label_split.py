"""Choosing the few images that keep their labels: each class, and each sequence, its share.

Source: iterative stratification of several labels (Sechidis et al., 2011), simplified: one image at
a time, whichever brings most of what the choice still lacks. Differs from it: sequences have
quotas, and the absence of a class has its share as well, without which images of many classes would
come first.
Shape letters: N image, K class.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..core.files import PathLike
from .folder import read_list


def choose_labelled(
    present_NK: np.ndarray, count: int, *, groups: Sequence[str] = (), seed: int = 0
) -> list[int]:
    """Choose images such that every class occurs in its share of them.

    Args:
        present_NK: Bool, whether a class occurs in an image.
        count: Images to choose.
        groups: Sequence of each image; each gives its share of the choice, rounded to its largest
            remainder. Without any, all are one.
        seed: Decides between images that are equally good.

    Returns:
        Their indices, sorted.

    Raises:
        ValueError: If there are not that many images, or none is to be chosen.
    """
    number = len(present_NK)
    if not 0 < count <= number:
        raise ValueError(f'{count} images of {number} cannot be chosen: ask for 1 to {number}')
    names = np.asarray(groups or [''] * number)
    order = np.random.default_rng(seed).permutation(number)
    left = quotas(names, count)
    facts = np.concatenate([present_NK, ~present_NK], axis=1)
    total = facts.sum(0)
    lack = total * count / number
    rare = np.minimum(total, 1)[
        : present_NK.shape[1]
    ]  # a class that occurs is chosen once at least
    lack[: len(rare)] = np.maximum(lack[: len(rare)], rare)
    open_N, chosen = np.ones(number, bool), []
    for _ in range(count):
        gain = facts @ (lack / np.maximum(total, 1))
        fits = open_N & np.array([left[name] > 0 for name in names])
        best = order[np.argmax(np.where(fits, gain, -np.inf)[order])]
        chosen.append(int(best))
        open_N[best] = False
        left[names[best]] -= 1
        lack = lack - facts[best]
    return sorted(chosen)


def quotas(names: np.ndarray, count: int) -> dict[str, int]:
    """How many of ``count`` images each sequence gives, by its length."""
    unique, sizes = np.unique(names, return_counts=True)
    exact = sizes * count / sizes.sum()
    found = np.floor(exact).astype(int)
    for index in np.argsort(-(exact - found), kind='stable')[: count - found.sum()]:
        found[index] += 1
    return dict(zip(unique.tolist(), found.tolist()))


def nested_splits(
    present_NK: np.ndarray,
    fractions: Sequence[Fraction],
    *,
    groups: Sequence[str] = (),
    seed: int = 0,
) -> dict[Fraction, list[int]]:
    """Choose several shares, each smaller one out of the next larger one.

    Args:
        present_NK: As for :func:`choose_labelled`.
        fractions: Shares, in (0, 1); numbers of images are rounded.
        groups: As for :func:`choose_labelled`.
        seed: As for :func:`choose_labelled`.

    Raises:
        ValueError: If a share is out of range, or leaves no image.
    """
    pool, found = np.arange(len(present_NK)), {}
    for fraction in sorted(fractions, reverse=True):
        if not 0 < fraction < 1:
            raise ValueError(f'a share lies between 0 and 1, got {fraction}')
        count = round(len(present_NK) * fraction)
        if count < 1:
            raise ValueError(
                f'a share of {fraction} of {len(present_NK)} images is none of them: leave it out '
                '(--fractions)'
            )
        names = [groups[int(index)] for index in pool] if groups else ()
        pool = pool[choose_labelled(present_NK[pool], count, groups=names, seed=seed)]
        found[fraction] = pool.tolist()
    return found


def read_published_list(path: PathLike) -> list[str]:
    """Read a published list of labelled or unlabelled images as stems.

    Lines are stems, or an image and its mask as UniMatch, ST++ and U2PL list VOC
    (``JPEGImages/2007_000032.jpg SegmentationClass/2007_000032.png``). The last line of these files
    ends without a newline.
    """
    return [Path(line.split()[0]).stem for line in read_list(path)]
