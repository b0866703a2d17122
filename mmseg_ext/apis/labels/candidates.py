"""What is known of the images, or regions, that wait for labels.

Shape letters: N candidate, K class, D feature.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

import numpy as np


@dataclass(frozen=True)
class Candidates:
    """Images or regions without labels.

    Args:
        names: N, each once.
        scores: How unsure the model is of each, ``(N,)``.
        pixels: Pixels predicted of each class, ``(N, K)``.
        class_scores: Entropy times the probability of each class, mean over pixels, ``(N, K)``.
        features: Pooled features, ``(N, D)``.
        labelled_features: Of what has labels already, ``(M, D)``.
        background: Class that is no foreground, if there is one.
    """

    names: tuple[str, ...]
    scores: Optional[np.ndarray] = None
    pixels: Optional[np.ndarray] = None
    class_scores: Optional[np.ndarray] = None
    features: Optional[np.ndarray] = None
    labelled_features: Optional[np.ndarray] = None
    background: Optional[int] = None

    def in_order(self) -> 'Candidates':
        """The same in the order of their names."""
        order = np.argsort(np.asarray(self.names), kind='stable')
        kept = ('scores', 'pixels', 'class_scores', 'features')
        known: dict[str, Any] = {
            key: getattr(self, key) for key in kept if getattr(self, key) is not None
        }
        arranged: dict[str, Any] = {key: np.asarray(values)[order] for key, values in known.items()}
        names = tuple(self.names[index] for index in order)
        return replace(self, names=names, **arranged)

    def of(self, name: str) -> np.ndarray:
        """What a selector needs.

        Raises:
            ValueError: If it is not known, or does not fit the names.
        """
        values = getattr(self, name)
        if values is None:
            raise ValueError(f'this selector needs the {name} of the candidates')
        if len(values) != len(self.names):
            raise ValueError(f'{len(self.names)} candidates, but {name} of {len(values)}')
        if not np.isfinite(values).all():
            raise ValueError(f'the {name} of {self.names[_first_bad(values)]} are not finite')
        return values

    def foreground(self) -> list[int]:
        """Classes that are not the background."""
        return [k for k in range(self.of('pixels').shape[1]) if k != self.background]

    def has_foreground(self) -> np.ndarray:
        """Whether a pixel of each candidate is predicted as foreground, ``(N,)``."""
        return self.of('pixels')[:, self.foreground()].sum(1) > 0


def _first_bad(values: np.ndarray) -> int:
    return int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))[0])


def check_count(names: Sequence[str], count: int) -> None:
    """Refuse a choice that cannot be made.

    Raises:
        ValueError: If the pool is empty, more is asked for than it holds, or less than one.
    """
    if not names:
        raise ValueError('the pool is empty: everything has labels already')
    if not 1 <= count <= len(names):
        raise ValueError(
            f'{count} labels are asked for, and {len(names)} candidates have none yet: ask for '
            f'1 to {len(names)}'
        )
    if len(set(names)) < len(names):
        raise ValueError('a candidate is named twice')
