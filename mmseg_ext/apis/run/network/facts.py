"""Compare what networks compute, apart from their weights, by the attributes of their modules.

Two networks whose tensors have the same names and shapes may still differ in strides, dilations,
padding, epsilons, activations or aligned corners. To find such differences both networks are built,
and the classes and plain attributes of their modules (the *facts*) are compared.
"""

from collections.abc import Mapping
from typing import Any, Literal, Optional

import torch
from mmseg.registry import MODELS
from torch import nn
from torch.overrides import TorchFunctionMode

# What weights are used for. ``'whole'``: they are used as they are. ``'tuned'``: training goes on
# from them, perhaps with another head. ``'start'``: a backbone starts from them, at any resolution.
Use = Literal['whole', 'tuned', 'start']

# Arguments and attributes that do not change what given weights compute in a test. They concern
# training, speed or initialisation, or they show in the shapes of the weights, which are compared
# elsewhere.
_FREE = (
    *('training', 'inplace', 'momentum', 'norm_momentum', 'p', 'dropout', 'with_cp', 'norm_eval'),
    *('frozen_stages', 'ignore_index', 'mix_first', 'pretrained', 'img_size', 'fp16_enabled'),
    *('in_channels', 'out_channels', 'channels', 'num_classes', 'num_features', 'in_features'),
    *('out_features', 'loss_definition', 'sampler', 'requires_grad'),
)
_FREE_STARTS = ('drop', 'init', 'pretrain', 'loss', 'zero_init', 'use_checkpoint', 'attn_drop')
_IDENTITIES = ('Dropout', 'DropPath', 'Identity')  # in a test
# Settings that a training may choose if it starts from a backbone: weights fit any resolution.
_GEOMETRY = (
    *('stride', 'strides', 'dilation', 'dilations', 'padding', 'output_stride', 'exit_dilation'),
    *('ceil_mode', 'contract_dilation', 'align_corners'),
)
# Names of the argument that says which feature maps a network returns.
MAPS = ('out_indices', 'taps', 'out')
_ACTIVATIONS = ('Identity', *nn.modules.activation.__all__)


def network_differences(
    given: Mapping[str, Any], config: Mapping, use: Use
) -> list[tuple[str, Any, Any]]:
    """Compare facts with those of the network that a config builds.

    Args:
        given: Facts of the network that the weights are of, from :func:`facts`.
        config: Config of a part of a model.
        use: What the weights are used for.

    Returns:
        For each difference: path of the attribute, value in ``given`` and value in the network of
        the config; ``None`` if there is no such attribute.
    """
    built = facts(build_part(config))
    return [
        (path, given.get(path), built.get(path))
        for path in {**given, **built}
        if not same(given.get(path), built.get(path)) and not _may_differ(path, given, built, use)
    ]


def _may_differ(path: str, given: Mapping, built: Mapping, use: Use) -> bool:
    inner, _, attribute = path.rpartition('.')
    here = path in given and path in built
    is_module = _is_kind(given.get(path)) or _is_kind(built.get(path))
    if use == 'whole':  # a subclass may have more attributes
        return not here and not inner and not is_module
    if not here or _was_replaced(inner, given, built):
        return True
    if is_module:  # another class has other weights; only activations have none
        return not (given[path] in _ACTIVATIONS and built[path] in _ACTIVATIONS)
    return use == 'start' and (not inner or attribute in _GEOMETRY)


def _was_replaced(path: str, given: Mapping, built: Mapping) -> bool:
    """Whether a module, or a module around it, is of another class."""
    steps = path.split('.')
    outer = ['.'.join(steps[: i + 1]) for i in range(len(steps))]
    return any(given.get(name) != built.get(name) for name in outer if name)


def _is_kind(fact: Any) -> bool:
    return isinstance(fact, Kind)


class Kind(str):
    """Name of a module's class."""


def build_part(config: Mapping, shapes: Optional[Mapping] = None) -> nn.Module:
    """Build a part of a model without loading weights.

    Args:
        config: Config of the part.
        shapes: Another config of the part; its numbers of channels and classes are taken instead.

    Raises:
        ValueError: If it cannot be built.
    """
    sizes = ('in_channels', 'channels', 'num_classes', 'out_channels', 'img_size')
    taken = {key: shapes[key] for key in sizes if key in shapes} if shapes else {}
    plain = {k: v for k, v in config.items() if k not in ('init_cfg', 'pretrained', 'loss_decode')}
    if 'num_classes' in {**plain, **taken}:
        plain['loss_decode'] = dict(type='CrossEntropyLoss', avg_non_ignore=True)
    try:
        with torch.device('meta'), _Countable():  # no memory, no random numbers
            return MODELS.build({**plain, **taken})
    except Exception:
        return _build_on_cpu({**plain, **taken})


class _Countable(TorchFunctionMode):
    """Makes number sequences on the CPU: constructors read them, as rates of stochastic depth."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.linspace, torch.arange):
            kwargs.setdefault('device', 'cpu')
        return func(*args, **kwargs)


def _build_on_cpu(config: dict) -> nn.Module:
    """Build a part on the CPU, for constructors that read values of their tensors."""
    try:
        with torch.random.fork_rng(devices=[]):
            return MODELS.build(config)
    except Exception as error:
        raise ValueError(
            f'{config["type"]} cannot be built with the settings that a converted checkpoint '
            f'needs ({error}): convert it again'
        ) from error


def facts(network: nn.Module) -> dict[str, Any]:
    """Return the classes and plain attributes of all modules, by path."""
    found: dict[str, Any] = {}
    for path, module in network.named_modules():
        kind = type(module).__name__
        if is_free(path):
            continue
        if path:  # the class of the network itself is compared as a setting
            found[path] = _kind(kind)
        if found.get(path) == 'Identity':
            continue
        for key, value in vars(module).items():
            if not (key.startswith('_') or is_free(key) or key in (*MAPS, 'in_index')):
                plain = plain_value(value)
                if plain is not None:
                    found[f'{path}.{key}'.lstrip('.')] = plain
    return found


def _kind(name: str) -> Kind:
    if any(word in name for word in _IDENTITIES):
        return Kind('Identity')
    return Kind('BatchNorm' if 'BatchNorm' in name else name)


def plain_value(value: Any) -> Any:
    """Return a number, a text or a list of these; ``None`` for any other value."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        inner = [plain_value(item) for item in value]
        return None if None in inner else inner
    return None


def is_free(path: str) -> bool:
    """Whether a setting or an attribute does not change what given weights compute."""
    return any(name in _FREE or name.startswith(_FREE_STARTS) for name in path.split('.'))


def same(a: Any, b: Any, *, tolerance: float = 1e-9) -> bool:
    """Whether two plain values are equal; a list equals a tuple of the same values."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, tolerance=tolerance) for x, y in zip(a, b))
    numbers = all(isinstance(x, (int, float)) for x in (a, b))
    return abs(a - b) <= tolerance if numbers else a == b
