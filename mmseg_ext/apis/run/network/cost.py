"""What a run's network costs: parameters, FLOPs and latency, as ``cost.json`` in its work folder.

One forward pass in evaluation, of one random crop of the size that the config trains on; weights
are random, as neither number depends on them. Sliding windows, test-time augmentation and a CRF
come on top of it.
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
    """What a network costs, and what it was measured with; the entries of the file.

    Args:
        parameters: Without auxiliary heads.
        flops: A multiply-add is two; ``None`` if torch cannot count them.
        latency_ms: Median pass.
        latency_lowest_ms: Fastest pass.
        latency_highest_ms: Slowest pass.
        size: Height and width of the image.
        repeats: Timed passes.
        hardware: That they ran on.
        torch: Its version.
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
    """Height and width of the crops that a config trains on.

    Raises:
        ValueError: If it does not say.
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
        cfg: Its model is built anew.
        size: Height and width; those of :func:`input_size` without it.
        repeats: Timed passes, after two that are not timed.

    Returns:
        Its cost on this machine.

    Raises:
        ValueError: If ``repeats`` is below 1, or the config does not say its size.
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
    """Read what was measured of a run's network; ``None`` if nothing was.

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
    """Measure a tested run unless that is done already.

    Returns:
        Its cost; ``None`` if the work folder holds no config.
    """
    cost = read_cost(work_dir)
    folder = RunFolder(work_dir)
    cfg = folder.tested_config(folder.results().config) if cost is None else None
    if cfg is not None:
        cost = measure_cost(cfg, repeats=repeats)
        write_json(folder.cost_file, asdict(cost))
    return cost
