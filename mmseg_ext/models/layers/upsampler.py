"""One way to build any upsampler of mmcv's registry.

Source: none. mmcv's ``build_upsample_layer`` leaves the arguments to its caller, and the types
disagree on them: interpolation takes no channels; mmcv's ``deconv`` takes two channel counts and no
scale; ``pixel_shuffle`` takes two channel counts and a kernel; ours take ``channels``.
Shape letters: N image, C channel, S scale factor, H row, W column.
"""

import inspect
from typing import Any, Union

from mmcv.cnn import build_upsample_layer
from mmengine.registry import MODELS
from mmengine.utils.dl_utils import mmcv_full_available
from torch import nn

from ...core.words import unknown
from .deconv import deconv_geometry

_TYPES = (
    'nearest',
    'bilinear',
    'deconv',
    'pixel_shuffle',
    'carafe',
    'dysample',
    'carafe_torch',
    'deconv_bn',
)


def build_upsampler(cfg: dict[str, Any], channels: int, scale_factor: int) -> nn.Module:
    """Build a module that turns ``(N, C, H, W)`` into ``(N, C, S * H, S * W)``.

    Args:
        cfg: ``type`` and its options: ``nearest``; ``bilinear`` (``align_corners``); mmcv's
            ``deconv`` (``kernel_size``, default S), ``pixel_shuffle`` (``upsample_kernel``, default
            3) and, if compiled, ``carafe``; our ``dysample``, ``carafe_torch`` and ``deconv_bn``;
            or any registered type that takes ``scale_factor``.
        channels: C.
        scale_factor: S, a positive integer.

    Raises:
        ValueError: If the type or an option is unknown, or an option would change C or S.
    """
    if not isinstance(cfg, dict) or 'type' not in cfg:
        raise ValueError(f"an upsampler is a dict with a 'type', got {cfg!r}")
    for name, value in (('channels', channels), ('scale_factor', scale_factor)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f'{name} must be a positive integer, got {value!r}')
    options = {key: value for key, value in cfg.items() if key != 'type'}
    upsampler = _find(cfg['type'])
    accepted = _accepted(cfg['type'], upsampler)
    unknown = sorted(set(options) - accepted)
    if unknown:
        raise ValueError(
            f'upsampler {cfg["type"]!r} has no option {", ".join(unknown)}; '
            f'it takes {", ".join(sorted(accepted))}'
        )
    if issubclass(upsampler, nn.ConvTranspose2d):
        options.setdefault('kernel_size', scale_factor)
    if 'upsample_kernel' in accepted and options.setdefault('upsample_kernel', 3) % 2 == 0:
        raise ValueError(f'upsample_kernel must be odd, got {options["upsample_kernel"]}')
    for name, value in _settings(upsampler, accepted, options, channels, scale_factor).items():
        if options.setdefault(name, value) != value:
            raise ValueError(
                f'upsampler {cfg["type"]!r}: {name} must be {value} here, got {options[name]}: '
                'leave it out'
            )
    return build_upsample_layer(dict(options, type=cfg['type']))


def _find(kind: Union[str, type]) -> type:
    """Look up a type as mmcv does."""
    if inspect.isclass(kind):
        return kind
    if kind == 'carafe' and not mmcv_full_available():
        raise ValueError(
            "upsampler 'carafe' needs the compiled mmcv; 'carafe_torch' with up_kernel=5, "
            'compressed_channels=64, out_conv=False is the same in plain torch'
        )
    with MODELS.switch_scope_and_registry(None) as registry:
        found = registry.get(kind) if isinstance(kind, str) else None
    if inspect.isclass(found) and _enlarges(found):
        return found
    types: list[str] = [name for name in _TYPES if name != 'carafe' or mmcv_full_available()]
    raise ValueError(unknown('upsampler', kind, types))


def _enlarges(module: type) -> bool:
    named = 'scale_factor' in inspect.signature(module).parameters
    return named or issubclass(module, nn.ConvTranspose2d)


def _accepted(kind: Union[str, type], upsampler: type) -> set[str]:
    accepted = set(inspect.signature(upsampler).parameters)
    if upsampler is nn.Upsample:  # the type is the mode; torch would refuse other options too late
        accepted &= {'scale_factor', 'align_corners'} if kind == 'bilinear' else {'scale_factor'}
    return accepted


def _settings(
    upsampler: type, accepted: set[str], options: dict[str, Any], channels: int, scale_factor: int
) -> dict[str, Any]:
    """Return the arguments fixed by channels and scale, under the names that the type uses."""
    widths = dict.fromkeys(('channels', 'in_channels', 'out_channels'), channels)
    settings = dict(widths, scale_factor=scale_factor)
    if issubclass(upsampler, nn.ConvTranspose2d):
        settings.update(deconv_geometry(options['kernel_size'], scale_factor), dilation=1)
    return {name: value for name, value in settings.items() if name in accepted}
