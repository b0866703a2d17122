"""Windows in batches: the logits of mmseg's loop, and how many go through the network at once."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from support.small_network import small_network

from mmseg_ext.apis.predict.memory import _MARGIN, Memory
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.network.build import build
from mmseg_ext.apis.run.network.fast import fast_form
from mmseg_ext.models.segmentors import windows_at_once as module


def _network(crop, stride):
    test_cfg = ConfigDict(mode='slide', crop_size=crop, stride=stride)
    return small_network(test_cfg=test_cfg).eval()


def _metas(size, count):
    return [dict(ori_shape=size, img_shape=size, pad_shape=size) for _ in range(count)]


@pytest.mark.parametrize(
    'size, crop, stride',
    [
        ((64, 96), (32, 32), (24, 24)),
        ((70, 33), (32, 48), (32, 20)),
        ((32, 32), (32, 32), (16, 16)),
        ((24, 90), (32, 32), (32, 32)),
    ],
)
@pytest.mark.parametrize('most', [1, 3 * 2 * 32 * 32, 10**9], ids=['one', 'some', 'all'])
@torch.no_grad()
def test_logits_are_those_of_mmseg(size, crop, stride, most, monkeypatch):
    monkeypatch.setattr(module, '_MOST_PIXELS', most)
    model, x = _network(crop, stride).double(), torch.randn(2, 3, *size, dtype=torch.float64)
    ours, theirs = _metas(size, 2), _metas(size, 2)
    expected = model.slide_inference(x, theirs)
    module.take_windows_at_once(model)
    torch.testing.assert_close(model.slide_inference(x, ours), expected, rtol=0, atol=1e-12)
    assert ours == theirs


@torch.no_grad()
def test_the_fast_form_takes_windows_of_so_many_pixels(monkeypatch):
    monkeypatch.setattr(module, '_MOST_PIXELS', 4 * 32 * 32)
    model, x = _network((32, 32), (32, 32)), torch.randn(1, 3, 96, 96)
    fast = fast_form(model)
    counts = []
    fast.backbone.register_forward_pre_hook(lambda _, given: counts.append(len(given[0])))
    found = fast.inference(x, _metas((96, 96), 1))
    assert counts == [4, 4, 1]
    expected = model.inference(x, _metas((96, 96), 1))
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    copied = copy.deepcopy(fast)
    for weight in copied.parameters():
        weight.zero_()
    assert copied.inference(x, _metas((96, 96), 1)).abs().max() == 0


def test_the_memory_of_as_many_windows_is_planned(tiny_config):
    options = {'model.test_cfg': dict(mode='slide', crop_size=(64, 64), stride=(64, 64))}
    model = build(load_config(tiny_config, options=options)).eval()
    model.dataset_meta = dict(classes=['a', 'b', 'c'])
    fast = copy.deepcopy(model)
    module.take_windows_at_once(fast)
    image, size = torch.zeros(3, 128, 256, dtype=torch.uint8), (128, 256)
    plain, more = (Memory(net).needed(image, size, False) for net in (model, fast))
    one, each = (Memory(net)._network(image, (64, 64)) for net in (model, fast))
    assert module.count_at_once(fast, (64, 64)) == 64 and each >= one > 0
    assert more - plain == pytest.approx(_MARGIN * (64 * each - one))
