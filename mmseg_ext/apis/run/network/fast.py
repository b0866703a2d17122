"""The fast form of a trained model, which computes the same outputs with less work.

Batch norms are folded into the convolutions before them. A decoder with ``mix_first`` convolves
before it upsamples. On a CPU, 3x3 convolutions, dilated ones too, and 7x7 use Winograd's algorithm,
and linear layers, 1x1 and depthwise convolutions weights that are arranged once, with activations
in the same step. Memory is channels_last.
torch's attention gives no weights beside its result, and so need not hold them as a map, and reads
contiguous tokens. Small sliding windows go through the network together.
Outputs agree up to rounding, which is checked. For inference only. In half precision there is no
Winograd, whose sums need float32, and no arranged weights.
"""

import copy
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Optional

import torch
from mmengine.logging import print_log
from torch import nn

from ....engine.bfloat16 import is_imitated, warn_if_imitated
from ....models.layers import winograd, winograd_7x7
from ....models.layers.packed import is_available, is_same
from ....models.segmentors.windows_at_once import take_windows_at_once
from .folding import fold_norms
from .packing import pack_layers
from .watch import replace_parts

_TOLERANCE = 1e-3  # share of the largest output; rounding gives 1e-5, a wrong fusion 1e-1 or more
_TOLERANCE_HALF = 0.3  # bfloat16 has 8 bits: 1e-2, in deep networks with random weights 1e-1
_MIN_CHANNELS = 64  # with fewer, transforming tiles costs more than it saves
_MOST_WEIGHTS = 49 * 256**2  # of 7x7: transformed, there are four times as many to read
_MAX_DILATION = 4  # with more, planes are small: most of their last tiles is outside the map


def fast_form(model: nn.Module, *, size: int = 64, amp: bool = False) -> nn.Module:
    """Return a copy of a segmentor, in evaluation mode, that gives the same outputs with less work.

    Example::

        fast = apis.fast_form(apis.load_model(config, checkpoint))

    Args:
        model: A segmentor with trained weights; it is not changed.
        size: Side in pixels of the noise image on which both are compared.
        amp: Also compute in bfloat16, on CUDA in float16; a head's logits are float32 again. On a
            CPU without products of bfloat16 it computes in float32, and a warning says so.

    Raises:
        ValueError: If the outputs differ, as those of a model do that computes something else each
            time, or with ``amp`` if it has no backbone and head.
    """
    kind = next(model.parameters()).device.type
    if amp:
        _check_parts(model)
        warn_if_imitated(kind, 'float32 is used instead')
        amp = not is_imitated(kind)
    fast, noise = copy.deepcopy(model).eval(), _noise(model, size)
    run = torch.no_grad()(partial(fast, noise, mode='tensor'))
    fold_norms(fast, run)
    mixing = [module for module in fast.modules() if hasattr(module, 'mix_first')]
    for module in mixing:
        module.mix_first = True  # type: ignore[assignment]
    if kind == 'cpu' and not amp:
        _use_winograd(fast, keep=[module.fuse1 for module in mixing])
        if is_available():
            pack_layers(fast, run)
    _quicken_attention(fast)
    take_windows_at_once(fast)
    fast = fast.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if amp:
        _use_half(fast, kind)
    _compare(model, fast, noise, _TOLERANCE_HALF if amp else _TOLERANCE)
    return fast


def _check_parts(model: nn.Module) -> None:
    head = getattr(model, 'decode_head', None)
    if not isinstance(head, nn.Module) or not hasattr(model, 'extract_feat'):
        raise ValueError(
            f'{type(model).__name__} has no backbone and head to run in half precision'
        )


def _use_half(fast: Any, kind: str) -> None:
    """Compute features and logits in half precision; the resizing after them is in float32.

    So are depthwise convolutions: with folded norms, their weights differ most between channels,
    and their cost is small. Each part holds a bound method, which a copy of the model binds anew.
    """
    head = fast.decode_head
    dtype = torch.float16 if kind == 'cuda' else torch.bfloat16
    for module in fast.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.forward = partial(_in_single, kind, module.forward)  # type: ignore[method-assign]
    fast.extract_feat = partial(_in_half, kind, dtype, fast.extract_feat)
    head.forward = partial(_logits_in_half, kind, dtype, head.forward)  # type: ignore[method-assign]


def _in_half(kind: str, dtype: torch.dtype, function: Callable, *inputs: Any) -> Any:
    with torch.autocast(kind, dtype):
        return function(*inputs)


def _logits_in_half(kind: str, dtype: torch.dtype, function: Callable, *inputs: Any) -> Any:
    return _as_float(_in_half(kind, dtype, function, *inputs))


def _in_single(kind: str, function: Callable, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast(kind, enabled=False):
        return function(x.float())


def _as_float(output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return output.float()
    if isinstance(output, (list, tuple)):
        return type(output)(map(_as_float, output))
    return output


def _tensors(output: Any) -> list[torch.Tensor]:
    """All outputs of a network; some heads give more than logits."""
    if isinstance(output, torch.Tensor):
        return [output]
    return [tensor for part in output for tensor in _tensors(part)]


def _quicken_attention(fast: nn.Module) -> None:
    for module in fast.modules():
        if type(module) is nn.MultiheadAttention:
            module.forward = partial(_attend, module.forward)  # type: ignore[method-assign]


def _attend(forward: Callable, query: Any, key: Any, value: Any, *masks: Any, **kwargs: Any) -> Any:
    """Call torch's attention without its weights, which layers of mmcv and mmseg ask for and leave.

    They turn tokens before images, and torch multiplies such views image by image, three times for
    what are the same tokens.
    """
    turned = query.contiguous()
    keys = turned if is_same(query, key) else key.contiguous()
    values = keys if is_same(key, value) else value.contiguous()
    return forward(turned, keys, values, *masks, **dict(kwargs, need_weights=False))


def _use_winograd(fast: nn.Module, keep: list) -> None:
    kept = {part for whole in keep for part in whole.modules()}  # need their convolutions unchanged
    found = ((part, _winograd_of(part)) for part in fast.modules() if part not in kept)
    replace_parts(fast, {part: form for part, form in found if form is not None})


def _winograd_of(part: Any) -> Optional[nn.Module]:
    """A convolution by Winograd's algorithm, where that pays."""
    if type(part) is not nn.Conv2d or min(part.in_channels, part.out_channels) < _MIN_CHANNELS:
        return None
    if winograd.is_suited(part) and part.dilation[0] <= _MAX_DILATION:
        return winograd.WinogradConv2d(part)
    if winograd_7x7.is_suited(part) and part.weight.numel() <= _MOST_WEIGHTS:
        return winograd_7x7.Winograd7x7Conv2d(part)
    return None


def _noise(model: nn.Module, size: int) -> torch.Tensor:
    """An image for ``model``, ``(1, C, size, size)``."""
    first = next(p for p in model.parameters() if p.dim() == 4)
    mean = getattr(getattr(model, 'data_preprocessor', None), 'mean', None)
    channels = first.shape[1] if mean is None else len(mean)  # the first need not see the image
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, channels, size, size, generator=generator)
    return noise.to(first.device, first.dtype)


@torch.no_grad()
def _compare(model: nn.Module, fast: nn.Module, noise: torch.Tensor, tolerance: float) -> None:
    training = model.training
    expected = _tensors(model.eval()(noise, mode='tensor'))
    model.train(training)
    for one, other in zip(_tensors(fast(noise, mode='tensor')), expected):
        _check(one, other, tolerance)


def _check(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    difference, scale = float((found - expected).abs().max()), float(expected.abs().max())
    if not difference <= tolerance * max(scale, 1e-6):
        raise ValueError(
            f'the fast form differs by {difference:.3g} where outputs reach {scale:.3g}: does this '
            'model compute something else each time? Use its plain form'
        )
    print_log(f'fast form: largest difference {difference:.1e} of {scale:.1e}', 'current',
              logging.DEBUG)  # fmt: skip
