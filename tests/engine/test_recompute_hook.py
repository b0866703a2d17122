"""Recomputed activations: equal losses, gradients and statistics, and fewer bytes kept."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from support.paths import ROOT

from mmseg_ext.apis.run.config import load_config
from mmseg_ext.engine.recompute_hook import RecomputeHook

ROWS = ['fmsi/fmsi_mobilenetv2_camvid.py', 'mfp/mfp_mobilenetv2_camvid.py']


def build(row):
    cfg = load_config(ROOT / 'configs' / row, options={'model.backbone.init_cfg': None})
    init_default_scope('mmseg')
    torch.manual_seed(0)
    return MODELS.build(cfg.model).train()


def step(model):
    """Loss, gradients, buffers and kept bytes of a step on a batch of two."""
    kept = 0

    def pack(tensor):
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    torch.manual_seed(1)
    images = torch.randn(2, 3, 64, 64)
    labels = torch.randint(0, 11, (2, 64, 64))
    model.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = model.decode_head(model.backbone(images))
        logits = torch.nn.functional.interpolate(logits, size=(64, 64))
        loss = torch.nn.functional.cross_entropy(logits, labels)
    kept_by_forward = kept
    loss.backward()
    gradients = {k: v.grad.clone() for k, v in model.named_parameters() if v.grad is not None}
    buffers = {k: v.clone() for k, v in model.named_buffers()}
    return loss.item(), gradients, buffers, kept_by_forward


@pytest.mark.parametrize('row', ROWS)
def test_same_step_in_less_memory(row):
    plain, cheap = build(row), build(row)
    hook = RecomputeHook()
    hook.before_train(SimpleNamespace(model=cheap))
    (loss, gradients, buffers, kept), again = step(plain), step(cheap)
    assert again[0] == loss
    assert again[1].keys() == gradients.keys() and len(gradients) > 100
    assert all(torch.equal(again[1][key], value) for key, value in gradients.items())
    assert all(torch.equal(again[2][key], value) for key, value in buffers.items())
    assert again[3] < kept
    hook.after_train(None)
    assert step(cheap)[3] == kept and not any('forward' in vars(m) for m in cheap.modules())


def test_an_unknown_part_is_named():
    runner = SimpleNamespace(model=torch.nn.ModuleDict(dict(backbone=torch.nn.Linear(1, 1))))
    with pytest.raises(ValueError, match="no part 'backbones'; did you mean backbone?"):
        RecomputeHook(module='backbones').before_train(runner)
