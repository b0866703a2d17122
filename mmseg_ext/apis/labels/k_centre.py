"""k-centre greedy: one after the other, the point farthest from all that were taken.

Source: O. Sener and S. Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set
Approach", 2018, algorithm 1.
Differs from it: nothing in what is taken; distances are brought up to date only where they decide.
A distance to the nearest center never grows, so an old one is a bound: if the largest is up to
date, it is the farthest.
Shape letters: N point, D feature, M point that was taken before, P center.
"""

import numpy as np

_REFRESHED = 8  # points of one pick, before all are brought up to date at once
_AT_ONCE = 64  # centers


def k_centre(features_ND: np.ndarray, labelled_MD: np.ndarray, count: int) -> np.ndarray:
    """Positions that k-centre greedy takes, in order, ``(count,)``; of equals, the first.

    Distances are Euclidean. Without labelled points the first is the one nearest to the mean.
    """
    points = np.asarray(features_ND, np.float64)
    middle = points.mean(0)  # small distances are exact where large values are not
    search = _Search(points - middle, np.reshape(labelled_MD, (-1, points.shape[1])) - middle)
    return np.array([search.take() for _ in range(count)], np.int64)


class _Search:
    """Squared distance of each point to its nearest center, up to date where it is needed."""

    def __init__(self, points_ND: np.ndarray, centers_MD: np.ndarray) -> None:
        self.points = points_ND
        self.squares = (points_ND**2).sum(1)
        self.centers = [np.asarray(center, np.float64) for center in centers_MD]
        self.nearest = np.full(len(points_ND), np.inf)
        self.seen = np.zeros(len(points_ND), np.int64)  # centers that each distance knows

    def take(self) -> int:
        """The next point."""
        far = self._farthest() if self.centers else int(self.squares.argmin())
        self.centers.append(self.points[far])
        self.nearest[far] = -1.0  # below every distance: never again, also where points are alike
        return far

    def _farthest(self) -> int:
        for _ in range(_REFRESHED):
            far = int(self.nearest.argmax())
            if self.seen[far] == len(self.centers):
                return far
            self._refresh(slice(far, far + 1), int(self.seen[far]))
        self._refresh(slice(None), int(self.seen.min()))
        return int(self.nearest.argmax())

    def _refresh(self, where: slice, known: int) -> None:
        points, squares = self.points[where], self.squares[where, None]
        for start in range(known, len(self.centers), _AT_ONCE):
            centers = np.stack(self.centers[start : start + _AT_ONCE])
            found = squares - 2 * (points @ centers.T) + (centers**2).sum(1)
            # rounding may go below 0, where a point is a center
            np.minimum(self.nearest[where], np.maximum(found.min(1), 0), out=self.nearest[where])
        self.seen[where] = len(self.centers)
