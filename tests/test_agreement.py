"""Upstream's stack and the fork compute the same: each place where they differ, on either."""

import mmengine.config.utils
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor, ImgDataPreprocessor
from mmengine.runner import loops
from mmseg.models import SegDataPreProcessor, losses
from mmseg.registry import MODELS
from torch.utils.data import DataLoader

from mmseg_ext import agreement
from mmseg_ext.apis.config.signatures import arguments_of


@pytest.mark.parametrize(
    ('installed', 'name'),
    [
        ({'mmsegmentation': '1.2.2'}, 'mmsegmentation'),
        ({'onedl-mmsegmentation': '1.4.2'}, 'onedl-mmsegmentation'),
        ({}, 'mmsegmentation'),
    ],
)
def test_configs_are_looked_for_in_the_distribution_that_is_there(
    installed_are, monkeypatch, installed, name
):
    names = {'mmseg': 'mmsegmentation', 'mmdet': 'mmdet'}
    monkeypatch.setattr(mmengine.config.utils, 'MODULE2PACKAGE', names)
    installed_are(installed)
    agreement.find_configs_of_the_fork()
    agreement.find_configs_of_the_fork()
    assert names == {'mmseg': name, 'mmdet': 'mmdet'}


@pytest.mark.parametrize('channels', [1, 2, 3, 5])
@pytest.mark.parametrize('reverse', [False, True])
def test_images_of_any_number_of_channels_are_normalised(channels, reverse):
    mean, std = [10.0 * k for k in range(channels)], [k + 1.0 for k in range(channels)]
    pre = MODELS.build(
        dict(type='SegDataPreProcessor', mean=mean, std=std, bgr_to_rgb=reverse, size=(4, 4))
    )
    image = torch.arange(channels * 16.0).view(channels, 4, 4)
    shown = image.flip(0) if reverse and channels == 3 else image
    expected = torch.stack([(shown[k] - mean[k]) / std[k] for k in range(channels)])
    torch.testing.assert_close(pre(dict(inputs=[image]))['inputs'][0], expected)
    assert pre.channel_conversion is reverse


def test_without_a_mean_nothing_is_normalised():
    image = torch.full((4, 2, 2), 7.0)
    assert (SegDataPreProcessor()(dict(inputs=[image]))['inputs'][0] == 7).all()
    with pytest.raises(AssertionError):
        SegDataPreProcessor(mean=[1.0])


class _OfTheFork(ImgDataPreprocessor):
    """Its constructor, as far as it goes up to the parent."""

    def __init__(self, mean=None, std=None, size=None, *, bgr_to_rgb=False, rgb_to_bgr=False):
        super().__init__(mean=mean, std=std, bgr_to_rgb=bgr_to_rgb, rgb_to_bgr=rgb_to_bgr)
        self.size = size


def test_the_preprocessor_of_the_fork_is_opened(monkeypatch):
    monkeypatch.setattr('mmseg.models.SegDataPreProcessor', _OfTheFork)
    with pytest.raises(AssertionError, match='1 or 3 values'):
        _OfTheFork([1.0, 2.0], [1.0, 1.0])
    agreement.open_preprocessor()
    agreement.open_preprocessor()
    pre = _OfTheFork([1.0, 2.0], [3.0, 4.0], (8, 8), bgr_to_rgb=True)
    assert pre.mean.flatten().tolist() == [1, 2] and pre.std.flatten().tolist() == [3, 4]
    assert pre.size == (8, 8) and pre.channel_conversion is True and pre._enable_normalize is True
    assert _OfTheFork()._enable_normalize is False and list(pre.state_dict()) == []
    assert {'mean', 'std', 'size', 'bgr_to_rgb'} <= arguments_of(_OfTheFork)[0]  # a config's check


def test_a_preprocessor_of_upstream_is_left_alone(monkeypatch):
    class Upstream(BaseDataPreprocessor):
        pass

    monkeypatch.setattr('mmseg.models.SegDataPreProcessor', Upstream)
    before = Upstream.__init__
    agreement.open_preprocessor()
    assert Upstream.__init__ is before and not hasattr(Upstream, 'channel_conversion')


@pytest.mark.parametrize('valid_only', [False, True])
@pytest.mark.parametrize('ignored', [0, 7])
def test_weighted_cross_entropy_is_that_of_torch(valid_only, ignored):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    label = torch.randint(3, (2, 4, 5), generator=generator)
    label.view(-1)[:ignored] = 255
    weights = [0.5, 2.0, 3.0]
    loss = MODELS.build(
        dict(type='CrossEntropyLoss', class_weight=weights, avg_non_ignore=valid_only)
    )
    expected = F.cross_entropy(logits, label, torch.tensor(weights), ignore_index=255)
    torch.testing.assert_close(loss(logits, label, ignore_index=255), expected)


def test_cross_entropy_without_weights_is_that_of_mmseg():
    logits, label = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.0]]]]), torch.tensor([[[0, 255]]])
    one = torch.tensor([1.0, 0.0]).softmax(0)[0].log().neg().item()
    given = dict(ignore_index=255)
    assert losses.cross_entropy(logits, label, **given).item() == pytest.approx(one / 2)
    mean = losses.cross_entropy(logits, label, avg_non_ignore=True, **given).item()
    assert mean == pytest.approx(one)
    weight = torch.tensor([2.0, 5.0])
    total = losses.cross_entropy(logits, label, None, weight, 'sum', **given).item()
    assert total == pytest.approx(2 * one)
    by_hand = losses.cross_entropy(logits, label, None, weight, avg_factor=8.0, **given).item()
    assert by_hand == pytest.approx(2 * one / 8)
    before = losses.cross_entropy
    agreement.average_weighted_cross_entropy()
    assert losses.cross_entropy is before


def test_a_loop_draws_its_number_when_it_is_built():
    """As upstream does by itself: weights that are drawn after that do not depend on the stack."""
    loader = DataLoader(torch.arange(3), batch_size=1)
    torch.manual_seed(0)
    iter(loader)
    expected = torch.rand(2)
    torch.manual_seed(0)
    batches = loops._InfiniteDataloaderIterator(loader)
    assert torch.equal(torch.rand(2), expected)
    assert [next(batches).item() for _ in range(3)] == [0, 1, 2]


def test_a_lazy_loop_is_made_to_draw(monkeypatch):
    class Lazy:
        def __init__(self, dataloader):
            self.drawn = []

        def _ensure_iterator(self):
            self.drawn.append('built')

        def __next__(self):
            self.drawn.append('read')

        def skip_iter(self, num_iters):
            raise AssertionError('passed over without drawing')

    monkeypatch.setattr(loops, '_InfiniteDataloaderIterator', Lazy)
    agreement.draw_as_upstream()
    agreement.draw_as_upstream()
    batches = Lazy(None)
    batches.skip_iter(2)
    assert batches.drawn == ['built', 'read', 'read']
