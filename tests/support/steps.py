"""One step of a row on a user's data, in this process."""

import copy
from functools import cache

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from torch import nn

from mmseg_ext.apis.userdata.apply import apply_dataset


@cache
def load(path):
    """A config, read once."""
    return Config.fromfile(path)


def without_weights(model):
    """A model's config whose backbone starts from random weights."""
    model = copy.deepcopy(model)
    model.backbone.pop('init_cfg', None)
    return model


def first_of(network):
    """The first convolution that reads the image."""
    return next(m for m in network.modules() if isinstance(m, nn.Conv2d))


def one_step(path, file, channels=3):
    """Load two images of a data set file, and learn of them: each channel reaches the loss."""
    init_default_scope('mmseg')
    cfg = copy.deepcopy(load(path))
    apply_dataset(cfg, file)
    torch.manual_seed(0)
    network = MODELS.build(without_weights(cfg.model))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    batch = network.data_preprocessor(pseudo_collate([dataset[0], dataset[1]]), True)
    assert batch['inputs'].shape[1] == channels
    loss, _ = network.parse_losses(network(**batch, mode='loss'))
    loss.backward()
    gradient = first_of(network).weight.grad
    assert loss.isfinite() and gradient.shape[1] == channels
    assert (gradient.abs().sum(dim=(0, 2, 3)) > 0).all()
