"""Bf16OptimWrapper: what runs in which precision, accumulation, clipping."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn

import mmseg_ext  # noqa: F401
from mmseg_ext.engine import bfloat16


def build(model: nn.Module, **kwargs) -> OptimWrapper:
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    return OPTIM_WRAPPERS.build(dict(type='Bf16OptimWrapper', optimizer=optimizer, **kwargs))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(8, 3)


@pytest.mark.usefixtures('half')
def test_forward_is_bf16_and_weights_stay_float32(model):
    wrapper = build(model)
    x = torch.randn(4, 8)
    with wrapper.optim_context(model):
        y = model(x)
    assert y.dtype == torch.bfloat16
    expected = x.bfloat16() @ model.weight.bfloat16().T + model.bias.bfloat16()
    torch.testing.assert_close(y, expected, rtol=8e-3, atol=8e-3)
    wrapper.backward(y.float().sum())
    assert model.weight.grad.dtype == model.weight.dtype == torch.float32
    # outside the context nothing is cast
    assert model(x).dtype == torch.float32


def test_without_products_of_bfloat16_all_is_float32_and_a_warning_says_so(model, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda: False)
    said = []
    monkeypatch.setattr(bfloat16, 'print_log', lambda text, *_: said.append(text))
    wrapper, x = build(model), torch.randn(4, 8)
    for _ in range(2):
        with wrapper.optim_context(model):
            assert torch.equal(model(x), x @ model.weight.T + model.bias)
    (text,) = said
    assert 'no products of bfloat16' in text and 'float32 is used instead' in text


def test_a_torch_without_onednn_is_asked_for_nothing(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: False)
    monkeypatch.setattr(torch.ops, 'mkldnn', object())  # which has no operators
    assert not bfloat16.is_imitated('cpu') and not bfloat16.is_imitated('cuda')


def test_gradients_are_not_scaled(model):
    wrapper = build(model)
    x = torch.ones(2, 8)  # exact in bf16, so the gradient of a sum is exactly the count
    with wrapper.optim_context(model):
        loss = model(x).sum()
    wrapper.backward(loss)
    torch.testing.assert_close(model.weight.grad, torch.full((3, 8), 2.0), rtol=0, atol=0)
    assert set(wrapper.state_dict()) == {'state', 'param_groups'}


def test_accumulation_averages_and_steps_once(model):
    wrapper = build(model, accumulative_counts=2)
    start = model.weight.detach().clone()
    wrapper.initialize_count_status(model, 0, 4)
    for factor in (1.0, 3.0):  # gradients 1 and 3, mean 2
        torch.testing.assert_close(model.weight, start, rtol=0, atol=0)
        with wrapper.optim_context(model):
            loss = model(torch.full((1, 8), factor)).sum()
        wrapper.update_params(loss)
    torch.testing.assert_close(model.weight, start - 2.0, rtol=0, atol=1e-6)


def test_clipping_sees_the_true_gradient(model):
    wrapper = build(model, clip_grad=dict(max_norm=0.5))
    start = torch.cat([p.detach().flatten() for p in model.parameters()])
    with wrapper.optim_context(model):
        loss = model(torch.ones(2, 8)).sum()
    wrapper.update_params(loss)
    moved = torch.cat([p.detach().flatten() for p in model.parameters()]) - start
    assert moved.norm().item() == pytest.approx(0.5, abs=1e-4)


@pytest.mark.gpu
def test_bf16_on_cuda(model):
    model = model.cuda()
    with build(model).optim_context(model):
        assert model(torch.ones(1, 8, device='cuda')).dtype == torch.bfloat16


def test_dilated_depthwise_weights_get_their_gradient():
    """torch's own is wrong by more than its size in this layout."""
    torch.manual_seed(0)
    conv = nn.Conv2d(32, 32, 3, padding=2, dilation=2, groups=32, bias=False)
    x = torch.randn(2, 32, 32, 32).bfloat16().float().contiguous(memory_format=torch.channels_last)
    expected = torch.autograd.grad(conv(x).pow(2).sum(), conv.weight)[0]
    wrapper = build(conv)
    with wrapper.optim_context(conv):
        loss = conv(x).float().pow(2).sum()
    wrapper.backward(loss)
    assert (conv.weight.grad - expected).abs().max() < 0.02 * expected.abs().max()
