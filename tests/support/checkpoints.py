"""Checkpoints of a few numbers: a whole one as a run leaves it, and random weights."""

import re
from pathlib import Path

import pytest


def write_whole_checkpoint(path: Path, *, iteration: int | None = None, **content) -> Path:
    """A checkpoint as a run leaves it, with one weight; ``iteration`` comes from the name."""
    import torch

    number = int(re.search(r'\d+', path.stem)[0]) if iteration is None else iteration
    hub = dict(log_scalars={}, runtime_info={}, resumed_keys={})
    whole = dict(
        state_dict=dict(weight=torch.arange(4.0)),
        optimizer=dict(state={}, param_groups=[]),
        message_hub=hub,
        meta=dict(iter=number, epoch=0, seed=0),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(whole, **content), path)
    return path


@pytest.fixture(scope='session')
def whole_checkpoint():
    """The function that writes a small checkpoint that a run could go on from."""
    return write_whole_checkpoint


def write_random_weights(config: Path, path: Path, **content) -> Path:
    """Random weights of a variant of the tiny model, with a head that favours no class."""
    import torch
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    torch.manual_seed(0)
    cfg = Config.fromfile(config)
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model)
    channels = cfg.model.backbone.get('in_channels', 3)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=1.0)
    with torch.no_grad():
        for _ in range(30):  # statistics for BN, or the signal dies on its way to the head
            coarse = torch.rand(4, channels, 5, 5) * 2 - 1
            model.decode_head(model.backbone(torch.nn.functional.interpolate(coarse, (40, 40))))
        features = model.decode_head.convs(model.backbone(coarse.repeat(1, 1, 8, 8))[3])
        centre = model.decode_head.conv_seg.weight[:, :, 0, 0] @ features.mean((0, 2, 3))
        model.decode_head.conv_seg.bias.copy_(-centre)
    torch.save(dict(state_dict=model.state_dict(), **content), path)
    return path


@pytest.fixture(scope='session')
def random_weights():
    """The function that writes weights of a variant of the tiny model."""
    return write_random_weights
