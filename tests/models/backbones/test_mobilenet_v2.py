"""Removing a stride must not change what the remaining positions see."""

import pytest
import torch
from mmseg.models.backbones import MobileNetV2

import mmseg_ext  # noqa: F401
from mmseg_ext.models.backbones import MobileNetV2Dilated

OS16 = dict(strides=(1, 2, 2, 2, 1, 1, 1), dilations=(1, 1, 1, 1, 1, 2, 2))


def test_last_four_blocks_are_dilated_as_in_the_reference():
    model = MobileNetV2Dilated(**OS16)
    blocks = [*model.layer6, *model.layer7]
    depthwise = [block.conv[-2].conv for block in blocks]
    assert [c.dilation[0] for c in depthwise] == [1, 2, 2, 2]
    assert [c.padding[0] for c in depthwise] == [1, 2, 2, 2]
    named = model.named_modules()
    convs = {n: m for n, m in named if isinstance(m, torch.nn.Conv2d)}
    others = [m.dilation for n, m in convs.items() if not n.startswith(('layer6', 'layer7'))]
    assert len(others) == 39 and set(others) == {(1, 1)}


def test_same_parameters_as_mmseg():
    ours, theirs = MobileNetV2Dilated(**OS16), MobileNetV2(**OS16)
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [
        (k, v.shape) for k, v in theirs.state_dict().items()]  # fmt: skip
    assert sum(p.numel() for p in ours.parameters()) == 1_811_712


@pytest.mark.parametrize('stride_8', [False, True])
def test_dilated_features_contain_the_strided_ones(stride_8):
    """Every second output position (every fourth at stride 8) is the strided network's output."""
    torch.manual_seed(0)
    strided = MobileNetV2Dilated(out_indices=(6,))
    settings = dict(OS16)
    if stride_8:
        settings = dict(strides=(1, 2, 2, 1, 1, 1, 1), dilations=(1, 1, 1, 2, 2, 4, 4))
    dense = MobileNetV2Dilated(out_indices=(6,), **settings)
    dense.load_state_dict(strided.state_dict())
    for model in (strided, dense):
        model.eval()  # returns nothing in mmseg
    x = torch.randn(1, 3, 128, 96)
    step = 4 if stride_8 else 2
    with torch.no_grad():
        torch.testing.assert_close(dense(x)[..., ::step, ::step], strided(x), rtol=1e-4, atol=1e-5)
