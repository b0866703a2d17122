"""Monte-Carlo dropout: mean and variance over passes that are run by hand with the same draws."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_ext  # noqa: F401
from mmseg_ext.models.layers.dropout import Dropout

PREPROCESSOR = dict(type='SegDataPreProcessor', mean=[0] * 3, std=[255] * 3)
HEAD = dict(
    type='ConvSegHead', in_channels=64, kernel_size=1, num_classes=5,
    loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True))  # fmt: skip


def build(*, bayesian='center', head=HEAD, test_cfg=None, **settings):
    init_default_scope('mmseg')
    torch.manual_seed(0)
    backbone = dict(type='SegNet', arch='basic', bayesian=bayesian)
    model = dict(
        type='MonteCarloEncoderDecoder', data_preprocessor=PREPROCESSOR, backbone=backbone,
        decode_head=head, test_cfg=ConfigDict(test_cfg or dict(mode='whole')),
        **settings)  # fmt: skip
    net = MODELS.build(model)
    net.init_weights()
    return net.eval()


def sample(size, **meta):
    meta = {**dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0] * 4), **meta}
    return SegDataSample(metainfo=meta)


def passes_by_hand(net, x, count):
    for layer in net.modules():
        layer.training = isinstance(layer, Dropout)
    with torch.no_grad():
        probs = [net.decode_head(net.backbone(x)).double().softmax(1) for _ in range(count)]
    net.eval()
    mean = sum(probs) / count
    variance = sum((p - mean) ** 2 for p in probs) / count
    return mean, variance.mean(1, keepdim=True)


@pytest.mark.parametrize('count', [1, 2, 5])
def test_mean_and_variance_are_those_of_the_passes(count):
    net, x = build(num_passes=count), torch.rand(2, 3, 19, 22)
    torch.manual_seed(3)
    mean, variance = passes_by_hand(net, x, count)
    torch.manual_seed(3)
    with torch.no_grad():
        results = net.predict(x, [sample((19, 22)), sample((19, 22))])
    assert len(results) == 2
    for index, result in enumerate(results):
        torch.testing.assert_close(result.seg_logits.data.double(), mean[index], atol=1e-6, rtol=0)
        found = result.uncertainty.data.double()
        torch.testing.assert_close(found, variance[index], atol=1e-8, rtol=1e-3)
        assert torch.equal(result.pred_sem_seg.data[0], result.seg_logits.data.argmax(0))
    assert found.shape == (1, 19, 22)
    assert (found.max() > 1e-6) == (count > 1) and found.min() >= 0 and found.max() <= 0.25


def test_only_dropout_leaves_evaluation_and_returns_to_it():
    net, x = build(), torch.rand(1, 3, 17, 17)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    modes = []
    net.backbone.register_forward_hook(
        lambda m, *_: modes.append({type(s).__name__ for s in m.modules() if s.training})
    )
    with torch.no_grad():
        net.predict(x)
    assert modes == [{'Dropout'}] * 4  # four passes, as the authors'
    assert not any(m.training for m in net.modules())
    after = net.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)  # no batch statistic moved


def test_padding_is_cut_and_the_maps_have_the_images_size():
    net, x = build(num_passes=3), torch.rand(1, 3, 20, 24)
    torch.manual_seed(1)
    _, variance = passes_by_hand(net, x, 3)
    torch.manual_seed(1)
    with torch.no_grad():
        meta = dict(padding_size=[0, 4, 0, 2], img_shape=(18, 20), pad_shape=(20, 24))
        (result,) = net.predict(x, [sample((18, 20), **meta)])
        (larger,) = net.predict(x, [sample((36, 40), **meta)])
    cut = variance[0, :, :18, :20]
    torch.testing.assert_close(result.uncertainty.data.double(), cut, atol=1e-8, rtol=1e-3)
    assert larger.uncertainty.data.shape == (1, 36, 40)
    assert larger.seg_logits.data.shape == (5, 36, 40)


def test_the_seed_repeats_and_the_variance_differs_between_pixels():
    net, x = build(), torch.rand(1, 3, 24, 24)
    runs = []
    with torch.no_grad():
        for seed in (7, 7, 8):
            torch.manual_seed(seed)
            runs.append(net.predict(x)[0].uncertainty.data)
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
    assert runs[0].std() > 0


def test_sliding_windows():
    net = build(num_passes=2, test_cfg=dict(mode='slide', crop_size=(16, 16), stride=(8, 8)))
    with torch.no_grad():
        (result,) = net.predict(torch.rand(1, 3, 21, 33), [sample((21, 33))])
    assert result.uncertainty.data.shape == (1, 21, 33) and result.uncertainty.data.max() > 0


def test_a_head_of_mmseg_has_dropout_enough():
    head = dict(
        type='FCNHead', in_channels=64, channels=8, num_convs=1, concat_input=False, in_index=-1,
        num_classes=5, dropout_ratio=0.1)  # fmt: skip
    net = build(bayesian=None, head=head)
    with torch.no_grad():
        assert net.predict(torch.rand(1, 3, 16, 16))[0].uncertainty.data.max() > 0


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(num_passes=0), 'num_passes must be 1 or more, got 0'),
        (dict(bayesian=None), "needs dropout, .* bayesian of SegNet to 'center'"),
        (
            dict(head=dict(HEAD, num_classes=2, out_channels=1, threshold=0.5)),
            'one output channel per class',
        ),
    ],
)
def test_mistakes(settings, words):
    with pytest.raises(ValueError, match=words):
        build(**settings)
