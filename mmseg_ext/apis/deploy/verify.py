"""Compare an exported file with its network at sizes that it was not exported with.

Shape letters: N image, C channel, K class, H row, W column.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Optional

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...env import first_line
from ...models.layers.swin import ShiftedWindowAttention
from .formats import Run
from .graph import LogitsGraph

LARGEST_DIFFERENCE = 1e-4  # of logits, relative to the largest
LABELS = 0.9999  # share of pixels that must get the same label
DECIDED = 0.9  # share of pixels whose logits must not hang on rounding
_ROUNDING = 1e-6  # relative change of an image, some times what rounding does to a map
Shape = tuple[int, int, int]  # N, H, W

# One line for each kind of network: what the graph is recorded with, then what it is compared at.
# The first works with networks that take any size, the others with those that need multiples.
_SHAPES: tuple[tuple[Shape, ...], ...] = (
    ((2, 67, 83), (1, 96, 128), (3, 109, 75)),
    ((2, 96, 64), (1, 64, 128), (3, 128, 96)),
    ((2, 256, 224), (1, 224, 256), (1, 288, 224)),
)
_SEVERAL_WINDOWS: Shape = (1, 267, 245)  # of 7 tokens, also in a stage where a token is 32 pixels


@dataclass(frozen=True)
class Comparison:
    """What a file computes beside what the network computes.

    Args:
        shapes: N, H and W that were compared.
        difference: Largest difference of two logits, relative to the largest logit.
        agreement: Share of pixels with the same label.
        eager_ms: Median time of the network for one image of the first shape.
        file_ms: The same of the file.
        undecided: Share of pixels that the difference leaves out, see :func:`hang_on_rounding`.
    """

    shapes: tuple[Shape, ...]
    difference: float
    agreement: float
    eager_ms: float
    file_ms: float
    undecided: float = 0.0

    def fault(self, limit: float = LARGEST_DIFFERENCE, labels: float = LABELS) -> Optional[str]:
        """Say what is wrong; ``None`` if the file computes the same."""
        if self.undecided > 1 - DECIDED:
            return (
                f'rounding decides the logits of {100 * self.undecided:.0f} % of pixels (at most '
                f'{100 * (1 - DECIDED):.0f} %), so no other program can be compared with it'
            )
        if self.difference <= limit and self.agreement >= labels:  # neither holds for NaN
            return None
        return (
            f'it does not compute what the network does: logits differ by {self.difference:.1e} '
            f'(at most {limit:.0e}), {100 * self.agreement:.3f} % of labels are the same '
            f'(at least {100 * labels:.2f} %)'
        )


def choose_shapes(graph: LogitsGraph) -> tuple[Shape, ...]:
    """Choose shapes that the network takes; the first is for recording.

    A network of shifted windows computes something else where a map is one window: it is compared
    at a larger size, too.

    Raises:
        ValueError: If it takes none of them.
    """
    reason = ''
    for shapes in _SHAPES:
        try:
            with torch.inference_mode():
                for shape in shapes:
                    graph(example(graph, (1, *shape[1:])))
        except (ValueError, RuntimeError, AssertionError) as error:
            reason = reason or first_line(error)
            continue
        windows = any(isinstance(part, ShiftedWindowAttention) for part in graph.modules())
        return (*shapes, _SEVERAL_WINDOWS) if windows else shapes
    raise ValueError(f'its network takes no images of several sizes: {reason}')


def example(graph: LogitsGraph, shape: Shape, seed: int = 0) -> Tensor:
    """Make images of blurred patches with noise, ``(N, C, H, W)`` from 0 to 255."""
    count, height, width = shape
    generator = torch.Generator().manual_seed(seed)
    channels = len(graph.mean)
    coarse = torch.rand(count, channels, 5, 6, generator=generator)
    noise = torch.rand(count, channels, height, width, generator=generator)
    smooth = F.interpolate(coarse, (height, width), mode='bilinear', align_corners=True)
    return (0.8 * smooth + 0.2 * noise) * 255


def compare(graph: LogitsGraph, run: Run, shapes: Sequence[Shape], *, repeats: int = 3) -> Any:
    """Run the network and its file on the same images.

    Args:
        graph: The network.
        run: What opening the file gave.
        shapes: N, H and W of the images to compare with.
        repeats: Number of timed calls.

    Returns:
        How they differ, a :class:`Comparison`; a shape that differs counts as no agreement at all.
        Of logits that differ by too much, those are left out that hang on rounding in the network
        itself.
    """
    differences, same, pixels, undecided = [], 0, 0, 0
    for seed, shape in enumerate(shapes, start=1):
        image = example(graph, shape, seed)
        with torch.inference_mode():
            expected = graph(image).numpy()
        found = run(image.numpy())
        if found.shape != expected.shape:
            differences.append(float('inf'))
            found = np.full_like(expected, np.nan)
        else:
            apart = _apart(found, expected)
            if apart.max() > LARGEST_DIFFERENCE:
                hanging = hang_on_rounding(graph, image, expected)
                undecided += int(hanging.sum())
                apart = apart[~hanging]
            differences.append(float(apart.max(initial=0)))
        equal = labels_of(found) == labels_of(expected)
        same += int(equal.sum()) if np.isfinite(found).all() else 0
        pixels += equal.size
    one = example(graph, (1, *shapes[0][1:]))
    return Comparison(
        shapes=tuple(shapes),
        difference=max(differences, key=lambda d: (np.isnan(d), d)),
        agreement=same / pixels,
        eager_ms=run_time(_eager(graph), one.numpy(), repeats),
        file_ms=run_time(run, one.numpy(), repeats),
        undecided=undecided / pixels,
    )


def _apart(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return the largest difference of two logits at each pixel, relative to the largest logit."""
    scale = max(float(np.abs(expected).max()), 1e-12)
    return np.abs(found - expected).max(1) / scale


def hang_on_rounding(
    graph: LogitsGraph, image: Tensor, expected: np.ndarray, *, draws: int = 16
) -> np.ndarray:
    """Mark pixels whose logits jump when the image changes by as little as rounding does.

    A network that unpools asks where a maximum was. Of two values that are equal but for rounding,
    programs that add in another order take different ones, and a value moves by a pixel.

    Args:
        graph: The network.
        image: ``(N, C, H, W)``.
        expected: Its logits of the image.
        draws: Number of random changes; each moves such a value with a chance of about a half.

    Returns:
        ``(N, H, W)`` boolean.
    """
    generator = torch.Generator().manual_seed(0)
    hanging = np.zeros((len(expected), *expected.shape[2:]), dtype=bool)
    for _ in range(draws):
        change = _ROUNDING * (2 * torch.rand(image.shape, generator=generator) - 1)
        with torch.inference_mode():
            changed = graph(image * (1 + change)).numpy()
        hanging |= _apart(changed, expected) > LARGEST_DIFFERENCE / 2
    return hanging


def labels_of(logits_NKHW: np.ndarray) -> np.ndarray:
    """Return the most probable class of each pixel; of one channel, whether it is positive."""
    return logits_NKHW.argmax(1) if logits_NKHW.shape[1] > 1 else logits_NKHW[:, 0] > 0


def _eager(graph: LogitsGraph) -> Run:
    def run(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return graph(torch.from_numpy(image)).numpy()

    return run


def run_time(run: Run, image: np.ndarray, repeats: int = 5) -> float:
    """Return the median time of a call in milliseconds, after one that warms up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run(image)
        times.append((time.perf_counter() - start) * 1e3)
    return median(times[1:])
