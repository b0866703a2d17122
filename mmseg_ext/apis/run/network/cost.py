"""Measure the cost of a run's network: parameters, FLOPs, latency. ``cost.json`` keeps it.

The cost is that of one forward pass in evaluation mode, for one random image of the size that the
config trains on. The weights are random, because none of these numbers depends on them. The cost
of sliding windows, test-time augmentation and a CRF is not included.
"""

import statistics
from dataclasses import asdict, dataclass
from typing import Optional

import torch
from mmengine.config import Config

from ....core.files import PathLike, read_json, write_json
from ...config.semi import plain_model
from ..folder import RunFolder
from ..outcome.facts import hardware
from .build import build, flops_of_image, tested_parameters, time_images


@dataclass(frozen=True)
class Cost:
    """The cost of a network, and how it was measured. The fields are the entries of the file.

    Args:
        parameters: Number of parameters, without auxiliary heads.
        flops: FLOPs of one image, a multiply-add counted as two; ``None`` if not countable.
        latency_ms: Duration of a pass, median, in milliseconds.
        latency_lowest_ms: Duration of the fastest pass.
        latency_highest_ms: Duration of the slowest pass.
        size: Height and width of the image.
        repeats: Number of timed passes.
        hardware: Machine that they ran on.
        torch: Version of torch.
    """

    parameters: int
    flops: Optional[float]
    latency_ms: float
    latency_lowest_ms: float
    latency_highest_ms: float
    size: list[int]
    repeats: Optional[int] = None
    hardware: Optional[str] = None
    torch: Optional[str] = None


def input_size(cfg: Config) -> tuple[int, int]:
    """Return height and width of the crops that a config trains on.

    Raises:
        ValueError: If the config gives no size.
    """
    model = plain_model(cfg.model.get('module') or cfg.model)
    size = cfg.get('crop_size') or (model.get('data_preprocessor') or {}).get('size')
    if size is None:
        raise ValueError(
            f'{cfg.filename} has neither crop_size nor data_preprocessor.size: give the size'
        )
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def measure_cost(cfg: Config, *, size: Optional[tuple[int, int]] = None, repeats: int = 9) -> Cost:
    """Count and time a config's network, on the GPU if there is one.

    Args:
        cfg: Config of the network, which is built with random weights.
        size: Height and width of the image; default: those of :func:`input_size`.
        repeats: Number of timed passes; two passes before them are not timed.

    Returns:
        The cost on this machine.

    Raises:
        ValueError: If ``repeats`` is below 1, or if neither ``size`` nor the config gives a size.
    """
    if repeats < 1:
        raise ValueError(f'repeats must be at least 1, got {repeats}')
    height, width = size or input_size(cfg)
    network = build(cfg).eval()
    parameters, (flops, _) = tested_parameters(network), flops_of_image(network, (height, width))
    times = time_images(network, (height, width), repeats=repeats)
    return Cost(
        parameters=parameters,
        flops=flops,
        latency_ms=statistics.median(times),
        latency_lowest_ms=min(times),
        latency_highest_ms=max(times),
        size=[height, width],
        repeats=repeats,
        hardware=hardware(),
        torch=torch.__version__,
    )


def read_cost(work_dir: PathLike) -> Optional[Cost]:
    """Read the cost of a run's network; ``None`` if it was not measured.

    Raises:
        ValueError: If the file is damaged.
    """
    path = RunFolder(work_dir).cost_file
    if not path.is_file():
        return None
    try:
        return Cost(**read_json(path))
    except TypeError as error:
        raise ValueError(f'{path} is damaged ({error}): remove it and run again') from error


def ensure_cost(work_dir: PathLike, *, repeats: int = 9) -> Optional[Cost]:
    """Return the cost of a tested run's network; measure and keep it if that was not done yet.

    Returns:
        The cost; ``None`` if it was not measured and the work folder holds no config.
    """
    cost = read_cost(work_dir)
    folder = RunFolder(work_dir)
    cfg = folder.tested_config(folder.results().config) if cost is None else None
    if cfg is not None:
        cost = measure_cost(cfg, repeats=repeats)
        write_json(folder.cost_file, asdict(cost))
    return cost
