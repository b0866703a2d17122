"""Benchmarks of whole-model inference, attentions and upsamplers; see ``benchmark``."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...models.layers.upsampler import build_upsampler
from ..run.config import load_config
from ..run.network.build import build, channels_of, count_flops, sizes_of
from ..run.network.fast import fast_form
from .timing import Case, compare, register

ATTENTIONS = (
    'CBAM', 'ECA', 'GAM', 'LSK', 'SGE', 'SimAM', 'ParNet', 'PSCAN', 'EMA', 'SCSA', 'GGCA', 'MSEA',
)  # fmt: skip
UPSAMPLERS = (
    dict(type='nearest'),
    dict(type='deconv_bn'),
    dict(type='carafe_torch'),
    dict(type='dysample'),
    dict(type='dysample', style='pl'),
)
SITES = ((32, 2), (64, 4), (256, 4))  # channels and scale of MFP's upsamplers


@register
def inference(
    repeats: int, *, configs: Sequence[str] = (), size: int = 512, batch: int = 1
) -> Iterator[Case]:
    """Compare inference of each config with the last one, first plain, then in fast form.

    Weights are random: the time does not depend on them.
    """
    if len(configs) < 2:
        raise ValueError(
            f'the benchmark inference compares two configs or more, got {len(configs)}: '
            '--configs OURS.py REFERENCE.py'
        )
    *others, (name, reference) = [(path, _plain(path)) for path in configs]
    image = torch.randn(batch, channels_of(reference), size, size)
    counts = sizes_of(reference, size)
    for path, network in others:
        own = sizes_of(network, size)
        sides = dict(plain=network, fast=fast_form(network))
        references = dict(plain=reference, fast=fast_form(reference))
        for mode, against in (('plain', 'plain'), ('fast', 'plain'), ('fast', 'fast')):
            yield dict(
                case=f'{path}, {mode}, {batch}x{size}x{size}',
                reference=f'{name}, {against}',
                **own,
                **{f'reference_{key}': value for key, value in counts.items()},
                **compare(
                    _inference(sides[mode], image),
                    _inference(references[against], image),
                    repeats=repeats,
                ),
            )


def in_stock_form(network: Any) -> Any:
    """Let decoders upsample before they convolve, as mmseg's own do; return the network."""
    for module in network.modules():
        if hasattr(module, 'mix_first'):
            module.mix_first = False
    return network


def _plain(path: str) -> nn.Module:
    return in_stock_form(build(load_config(path)).eval())


def _inference(network: nn.Module, image: Tensor) -> Callable[[], Any]:
    @torch.inference_mode()
    def step() -> Tensor:
        return network(image, mode='tensor')

    return step


@register
def attentions(
    repeats: int, *, size: int = 32, batch: int = 1, channels: int = 256
) -> Iterator[Case]:
    """Compare each attention with a copy of its input, at the size of the context map."""
    x = torch.randn(batch, channels, size, size)
    for name in ATTENTIONS:
        module = _build(dict(type=name, channels=channels))
        yield dict(
            case=f'{name}, {batch}x{channels}x{size}x{size}',
            reference='a copy of the map',
            **_counts(module, x),
            **compare(_inference_of(module, x), x.clone, repeats=repeats),
        )


@register
def upsamplers(
    repeats: int, *, batch: int = 1, size: int = 128, sites: Sequence[tuple[int, int]] = SITES
) -> Iterator[Case]:
    """Compare upsamplers with bilinear interpolation at MFP's sites; ``size`` is the output's."""
    for (channels, scale), cfg in ((site, cfg) for site in sites for cfg in UPSAMPLERS):
        x = torch.randn(batch, channels, size // scale, size // scale)
        init_default_scope('mmseg')
        module, bilinear = (
            build_upsampler(c, channels, scale).eval() for c in (cfg, dict(type='bilinear'))
        )
        label = ' '.join(str(value) for value in cfg.values())
        yield dict(
            case=f'{label}, {batch}x{channels}x{x.shape[2]}x{x.shape[3]}, scale {scale}',
            reference='bilinear',
            **_counts(module, x),
            **compare(_inference_of(module, x), _inference_of(bilinear, x), repeats=repeats),
        )


def _build(cfg: dict) -> nn.Module:
    init_default_scope('mmseg')
    return MODELS.build(cfg).eval()


def _inference_of(module: nn.Module, x: Tensor) -> Callable[[], Any]:
    return torch.inference_mode()(partial(module, x))


def _counts(module: nn.Module, x: Tensor) -> dict:
    return dict(
        parameters=sum(p.numel() for p in module.parameters()), flops=count_flops(module, x)
    )
