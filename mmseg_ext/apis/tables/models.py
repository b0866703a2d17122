"""Facts of a row's network: parameters, FLOPs and, on request, latency.

All are measured on the model that is built here, never copied from a paper.
"""

import contextlib
import warnings
from collections.abc import Sequence
from statistics import median
from typing import Any, Optional

import torch
from mmengine.config import Config
from mmseg.models import BaseSegmentor

from ...core.words import USER_ERRORS, message_of
from ..run.network.build import build, flops_of_image, tested_parameters, time_images
from ..run.network.cost import input_size
from .jobs import all_options, load_row
from .rows import Table


def model_facts(cfg: Config, *, latency: int = 0) -> dict[str, Any]:
    """Build a config's model with random weights and measure it.

    Args:
        cfg: Config with the model and the size of its inputs, ``crop_size``.
        latency: Number of timed calls for one image; 0 does not time.

    Returns:
        ``parameters`` without auxiliary heads, which testing does not use; ``GFLOPs`` of one image,
        where a multiply-add counts as two (``None`` if they cannot be counted); ``size`` of the
        image, H and W; and the median ``latency_ms``, if requested.
    """
    network = _build(cfg, real=bool(latency)).eval()
    size = _size(cfg)
    facts: dict[str, Any] = dict(parameters=tested_parameters(network), size=list(size))
    flops, why_not = flops_of_image(network, size)
    facts['GFLOPs'] = None if flops is None else flops / 1e9
    if why_not:
        facts['remark'] = f'FLOPs not counted: {why_not[:80]}'
    if latency:
        facts['latency_ms'] = median(time_images(network, size, repeats=latency))
    return facts


def _build(cfg: Config, *, real: bool) -> BaseSegmentor:
    """Build a model; without values if it need not run and its constructor allows it."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        if not real:
            with contextlib.suppress(RuntimeError, NotImplementedError), torch.device('meta'):
                return build(cfg)
        return build(cfg)


def _size(cfg: Config) -> tuple[int, int]:
    try:
        return input_size(cfg)
    except ValueError:  # not in the config
        return 512, 512


def table_models(
    table: Table,
    *,
    options: Sequence[str] = (),
    dataset: Optional[str] = None,
    latency: int = 0,
) -> dict[str, dict[str, Any]]:
    """Measure the model of every row that has a config.

    If a model cannot be built, ``remark`` has the reason.

    Args:
        table: The rows.
        options: ``--cfg-options``, as typed.
        dataset: File that describes the user's data.
        latency: See :func:`model_facts`.

    Returns:
        Facts of each row by label, with ``selects_on_test``: whether checkpoints are selected on
        test images.
    """
    found: dict[str, dict[str, Any]] = {}
    known: dict[str, dict[str, Any]] = {}  # rows may share a network, as with and without a CRF
    for row in table.rows:
        if row.path is None:
            continue
        try:
            cfg = load_row(row, all_options(row, options), dataset=dataset)
            name = repr(cfg.model)
            if name not in known:
                known[name] = model_facts(cfg, latency=latency)
            found[row.label] = dict(known[name], selects_on_test=_selects_on_test(cfg))
        except (*USER_ERRORS, SyntaxError) as error:
            found[row.label] = dict(remark=f'not built: {message_of(error)[:160]}')
    return found


def _selects_on_test(cfg: Config) -> bool:
    """Tell whether one of several checkpoints is selected on the images used for the scores."""
    loop = cfg.get('train_cfg') or {}
    length = loop.get('max_iters') or loop.get('max_epochs') or 0
    if loop.get('val_interval', 0) >= length > 0:
        return False  # a single validation at the end
    val, test = (cfg.get(f'{part}_dataloader') for part in ('val', 'test'))
    keys = ('type', 'data_root', 'ann_file', 'data_prefix')
    return bool(val and test) and all(val.dataset.get(k) == test.dataset.get(k) for k in keys)
