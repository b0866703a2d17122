"""What a config comes to: its settings, and what its network has and computes under one seed.

Nothing of the package is imported by name, so that older code can be told about, too.
"""

import contextlib
import hashlib
import logging
import os
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

SEED = 0
SIZES = ((96, 128), (64, 64), (128, 128), (224, 224))  # H and W; the first that a network takes
PLACES = ('MMSEG_EXT_DATA', 'MMSEG_EXT_WEIGHTS')  # where this machine has what configs name


def facts_of(path: Path, root: Path) -> dict[str, dict[str, str]]:
    """Read a config, build its network, run it.

    Args:
        path: The config.
        root: Folder of all configs.

    Returns:
        ``network``, see :func:`network_facts`, and ``settings``, see :func:`leaves_of`.
    """
    with _without_places(), _repeatable():
        try:
            cfg = Config.fromfile(path)
        except Exception as error:  # a config is code
            return dict(network={'not built': _one_line(error)}, settings={})
        init_default_scope(cfg.get('default_scope', 'mmseg'))
        settings = dict(leaves_of(cfg.to_dict(), os.path.abspath(root)))
        return dict(network=network_facts(cfg.model), settings=settings)


@contextlib.contextmanager
def _without_places() -> Iterator[None]:
    kept = {name: os.environ.pop(name) for name in PLACES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@contextlib.contextmanager
def _repeatable() -> Iterator[None]:
    """One thread, deterministic algorithms, no messages."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    disabled = logging.root.manager.disable
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(disabled)
        torch.use_deterministic_algorithms(strict)
        torch.set_num_threads(threads)


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ['']
    return f'{type(error).__name__}: {lines[0][:150]}'


def digest(data: bytes) -> str:
    """Return the first 16 digits of the SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


# --- settings -------------------------------------------------------------------------------------


def leaves_of(value: Any, root: str, name: str = '') -> Iterator[tuple[str, str]]:
    """Yield dotted key and text of each setting; a list is one setting unless it holds dicts.

    Args:
        value: A config or a part of it.
        root: Folder whose files are told by their content: where they lie is no setting.
        name: Dotted key of ``value``.
    """
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from leaves_of(part, root, f'{name}.{key}'.lstrip('.'))
    elif isinstance(value, (list, tuple)) and _holds_dicts(value):
        for index, part in enumerate(value):
            yield from leaves_of(part, root, f'{name}.{index}')
    elif isinstance(value, str) and value.startswith(root + os.sep):
        yield name, _content(Path(value))
    else:
        yield name, repr(value)


def _holds_dicts(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_dicts, value))
    return isinstance(value, dict)


def _content(path: Path) -> str:
    return f'file {digest(path.read_bytes())}' if path.is_file() else f'folder {path.name}'


# --- networks -------------------------------------------------------------------------------------


def network_facts(cfg: ConfigDict) -> dict[str, str]:
    """Build a network under one seed, without downloads, and run it.

    Args:
        cfg: The model.

    Returns:
        ``parameters``, ``trainable``, ``keys``, ``weights``, ``logits`` and ``losses`` as texts
        that are equal only if these are; the latter two are ``none:`` and why if the network does
        not run. Or only ``not built``, why it cannot be built.
    """
    _seed()
    try:
        network = MODELS.build(without_downloads(cfg))
        network.init_weights()
    except Exception as error:  # a package that is missing or half there raises anything
        return {'not built': _one_line(error)}
    facts = weights_of(network)
    _perturb(network)
    facts['logits'] = _at_some_size(logits_of, network)
    facts['losses'] = _at_some_size(losses_of, network)
    return facts


def _seed() -> None:
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)


def without_downloads(cfg: Any) -> Any:
    """Copy a model's config without what would load weights, at any depth."""
    if isinstance(cfg, (list, tuple)):
        return type(cfg)(map(without_downloads, cfg))
    if not isinstance(cfg, dict):
        return cfg
    kept = ConfigDict({key: without_downloads(part) for key, part in cfg.items()})
    if 'checkpoint' in repr(kept.get('init_cfg')):
        del kept['init_cfg']
    if kept.get('pretrained'):
        kept['pretrained'] = False if kept['pretrained'] is True else None
    return kept


def weights_of(network: nn.Module) -> dict[str, str]:
    """Count parameters; digest the names and the values of a state dict, in their order."""
    state, values = network.state_dict(), hashlib.sha256()
    for value in state.values():
        values.update(value.contiguous().numpy().tobytes())
    keys = [f'{key} {tuple(value.shape)} {value.dtype}' for key, value in state.items()]
    parameters = list(network.parameters())
    return dict(
        parameters=str(sum(p.numel() for p in parameters)),
        trainable=str(sum(p.numel() for p in parameters if p.requires_grad)),
        keys=f'{len(keys)}, {digest(chr(10).join(keys).encode())}',
        weights=values.hexdigest()[:16],
    )


@torch.no_grad()
def _perturb(network: nn.Module) -> None:
    """Move parameters and BN statistics a little: a factor of zero hides what it multiplies."""
    generator = torch.Generator().manual_seed(SEED)
    for name, value in network.state_dict(keep_vars=True).items():
        if isinstance(value, nn.Parameter) or name.endswith(('running_mean', 'running_var')):
            spread = value.std(correction=0).item() or 1.0
            value += 0.1 * spread * torch.randn(value.shape, generator=generator)
            if name.endswith('running_var'):
                value.abs_()


def _at_some_size(run: Callable[[Any, tuple[int, int]], str], network: nn.Module) -> str:
    reason = ''
    for size in SIZES:
        _seed()
        try:
            return run(network, size)
        except Exception as error:  # networks refuse sizes in any words
            reason = reason or _one_line(error)
    return f'none: {reason}'


def _batch(network: Any, size: tuple[int, int], count: int) -> dict[str, list]:
    """Draw images and labels, as a loader hands them over."""
    mean = getattr(network.data_preprocessor, 'mean', None)
    head = getattr(network, 'decode_head', network)
    images = torch.randint(256, (count, 3 if mean is None else len(mean), *size))
    labels = torch.randint(head.num_classes, (count, 1, *size))
    labels[..., :2, :] = head.ignore_index
    meta = dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0] * 4)
    samples = [SegDataSample(metainfo=dict(meta)) for _ in range(count)]
    for sample, label in zip(samples, labels):
        sample.gt_sem_seg = PixelData(data=label)
    return dict(inputs=list(images.to(torch.uint8)), data_samples=samples)


@contextlib.contextmanager
def _inferred(network: Any) -> Iterator[list[torch.Tensor]]:
    """Give a list that receives what the network's ``inference`` returns, if it has that method."""
    found: list[torch.Tensor] = []
    infer = getattr(network, 'inference', None)

    def keep(*args: Any) -> torch.Tensor:
        found.append(infer(*args))
        return found[-1]

    if infer is None:
        yield found
        return
    network.inference = keep
    try:
        yield found
    finally:
        del network.inference


@torch.no_grad()
def logits_of(network: Any, size: tuple[int, int]) -> str:
    """Digest the logits of a test step and what becomes of them; shape and range are to be read.

    Args:
        network: A segmentor. What its ``inference`` gives counts as well: a softmax or a CRF behind
            it can hide what changed.
        size: Height and width of the image.
    """
    with _inferred(network.eval()) as found:
        found.append(network.test_step(_batch(network, size, 1))[0].seg_logits.data)
    first = found[0].float()
    low, mean, high = (f'{f(first).item():.6g}' for f in (torch.min, torch.mean, torch.max))
    shape = 'x'.join(map(str, first.shape))
    all_of_them = b''.join(part.float().contiguous().numpy().tobytes() for part in found)
    return f'{digest(all_of_them)}, {shape}, {low} to {high}, mean {mean}'


@torch.no_grad()
def losses_of(network: Any, size: tuple[int, int]) -> str:
    """Tell the losses of a training batch of two, to the last bit."""
    preprocessor = network.train().data_preprocessor
    if getattr(preprocessor, 'size', None) is not None:
        preprocessor.size = size
    losses = network(**preprocessor(_batch(network, size, 2), True), mode='loss')
    return ', '.join(f'{name} {value.mean().item()!r}' for name, value in losses.items())
