"""Build the network of a config with random weights, count its size, and time one image."""

import copy
import time
from typing import Any, Optional

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models import BaseSegmentor
from mmseg.registry import MODELS
from torch import Tensor, nn

from ....core.words import message_of
from ...config.semi import plain_model
from ...config.untrained import untrained


def build(cfg: Config) -> BaseSegmentor:
    """Build a config's model with random weights; if it is semi-supervised, its plain segmentor."""
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    return MODELS.build(untrained(plain_model(cfg.model)))


def channels_of(network: BaseSegmentor) -> int:
    """Count the channels of the images that a model takes."""
    mean = getattr(network.data_preprocessor, 'mean', None)
    return 3 if mean is None else len(mean)


def tested_parameters(network: BaseSegmentor) -> int:
    """Count the parameters, except those of auxiliary heads, which a test does not use."""
    named = network.named_parameters()
    return sum(p.numel() for name, p in named if not name.startswith('auxiliary_head'))


def sizes_of(network: BaseSegmentor, size: int) -> dict:
    """Count all parameters, frozen ones too, and the FLOPs of one square image."""
    image = torch.empty(1, channels_of(network), size, size, device='meta')
    return dict(
        parameters=sum(p.numel() for p in network.parameters()),
        flops=count_flops(network, image, mode='tensor'),
    )


def flops_of_image(network: BaseSegmentor, size: tuple[int, int]) -> tuple[Optional[int], str]:
    """Count the FLOPs of one image; a multiply-add counts as two.

    Returns:
        The count and an empty text, or ``None`` and the reason why it cannot be counted. What some
        networks compute depends on the data, and some operators do not work on the meta device.
    """
    image = torch.empty(1, channels_of(network), *size, device='meta')
    try:
        return count_flops(network, image, mode='tensor'), ''
    except (NotImplementedError, RuntimeError, TypeError) as error:
        return None, message_of(error)


def count_flops(module: nn.Module, x: Tensor, **kwargs: Any) -> int:
    """Count the FLOPs of one call in evaluation mode; a multiply-add counts as two.

    The module is copied to the meta device, where nothing is computed. There the projection of a
    deformable convolution is counted in full; on the CPU its count depends on the offsets.
    """
    from torch.utils.flop_counter import FlopCounterMode

    shadow = copy.deepcopy(module).to('meta').eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        shadow(x.to('meta'), **kwargs)
    return int(counter.get_total_flops())


def time_images(network: BaseSegmentor, size: tuple[int, int], *, repeats: int) -> list[float]:
    """Time the forward pass of one image, after two passes that warm up; on a GPU if there is one.

    Args:
        network: Network in evaluation mode; it is moved to the device.
        size: Height and width of the image.
        repeats: Number of timed passes.

    Returns:
        Duration of each timed pass, in milliseconds.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    network = network.to(device)
    image = torch.rand(1, channels_of(network), *size, device=device)
    times = []
    with torch.inference_mode():
        for _ in range(repeats + 2):
            start = time.perf_counter()
            network(image, mode='tensor')
            if device == 'cuda':
                torch.cuda.synchronize()
            times.append((time.perf_counter() - start) * 1e3)
    return times[2:]
