"""A config's network with random weights: what it holds and what one image costs."""

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


def build(cfg: Config) -> BaseSegmentor:
    """Build a config's model with random weights; of a semi-supervised one, what is tested."""
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    return MODELS.build(plain_model(cfg.model))


def channels_of(network: BaseSegmentor) -> int:
    """Count the channels of the images a model takes."""
    mean = getattr(network.data_preprocessor, 'mean', None)
    return 3 if mean is None else len(mean)


def tested_parameters(network: BaseSegmentor) -> int:
    """Count parameters without those of auxiliary heads, which test runs do not have."""
    named = network.named_parameters()
    return sum(p.numel() for name, p in named if not name.startswith('auxiliary_head'))


def sizes_of(network: BaseSegmentor, size: int) -> dict:
    """Count parameters, frozen ones too, and FLOPs of one image."""
    image = torch.empty(1, channels_of(network), size, size, device='meta')
    return dict(
        parameters=sum(p.numel() for p in network.parameters()),
        flops=count_flops(network, image, mode='tensor'),
    )


def flops_of_image(network: BaseSegmentor, size: tuple[int, int]) -> tuple[Optional[int], str]:
    """Count the FLOPs of one image, a multiply-add being two.

    Returns:
        The count and an empty text, or ``None`` and why it cannot be counted: data decide what
        some networks compute, and some operators are unknown to the meta device.
    """
    image = torch.empty(1, channels_of(network), *size, device='meta')
    try:
        return count_flops(network, image, mode='tensor'), ''
    except (NotImplementedError, RuntimeError, TypeError) as error:
        return None, message_of(error)


def count_flops(module: nn.Module, x: Tensor, **kwargs: Any) -> int:
    """Count the FLOPs of one call in evaluation; a multiply-add is two.

    The copy on the meta device computes nothing, and there a deformable convolution counts its
    projection in full: on the CPU it depends on where the offsets point.
    """
    from torch.utils.flop_counter import FlopCounterMode

    shadow = copy.deepcopy(module).to('meta').eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        shadow(x.to('meta'), **kwargs)
    return int(counter.get_total_flops())


def time_images(network: BaseSegmentor, size: tuple[int, int], *, repeats: int) -> list[float]:
    """Time one image, on CUDA if there is one, after two calls that warm up.

    Args:
        network: In evaluation; moved to the device.
        size: Height and width of the image.
        repeats: Timed calls.

    Returns:
        Milliseconds of each call.
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
