"""Multi-scale inputs: labels against Pillow, the maximum and all three losses restated by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_ext.models.segmentors import MultiScaleEncoderDecoder
from mmseg_ext.models.segmentors.multi_scale import scaled_size, shrink_labels

CLASSES = 4


def _settings(*, align=False, **settings):
    return dict(
        data_preprocessor=dict(type='SegDataPreProcessor'),
        backbone=dict(type='DeepLabResNet', depth=50, base_channels=2, stem_channels=2),
        decode_head=dict(
            type='DeepLabV2Head',
            in_channels=64,
            num_classes=CLASSES,
            rates=(1, 2),
            align_corners=align,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
        ),
        test_cfg=ConfigDict(mode='whole'),
        **settings,
    )


def _model(*, align=False, **settings):
    torch.manual_seed(0)
    net = MultiScaleEncoderDecoder(**_settings(align=align, **settings))
    for p in net.decode_head.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return net.train()


def _samples(size, count=2):
    torch.manual_seed(1)
    samples = []
    for _ in range(count):
        label = torch.randint(0, CLASSES, (1, *size))
        label[:, : size[0] // 3] = 255
        meta = dict(ori_shape=size, img_shape=size, pad_shape=size)
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=meta))
    return samples


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


# --- sizes and labels -----------------------------------------------------------------------------


def test_sizes_are_the_published_ones():
    assert [scaled_size((321, 500), s) for s in (0.5, 0.75, 1)] == [
        (160, 250),
        (240, 375),
        (321, 500),
    ]
    aligned = [scaled_size((321, 321), s, align_corners=True) for s in (0.5, 0.75, 1)]
    assert aligned == [(161, 161), (241, 241), (321, 321)]
    for scale in (0.5, 0.75, 1.25):  # what is no int is the size of a graph for any image
        sizes = [(n, n) for n in range(1, 600)]
        opened = [scaled_size(np.array(size, np.int64), scale) for size in sizes]
        assert opened == [scaled_size(size, scale) for size in sizes]
    assert scaled_size((1, 1), 0.5) == scaled_size((1, 1), 0.5, align_corners=True) == (1, 1)


@pytest.mark.parametrize('length', [1, 7, 41, 64, 321, 375, 500])
@pytest.mark.parametrize('cells', [1, 2, 21, 31, 41, 47])
def test_centred_labels_are_pillow_s_nearest(length, cells):
    """Except where a cell's centre lies between two labels: Pillow's rounding errors decide."""
    row = np.arange(length, dtype=np.int32)
    label = np.stack([row] * 3)
    small = Image.fromarray(label).resize((cells, 3), Image.Resampling.NEAREST)
    got = shrink_labels(torch.from_numpy(label), (3, cells)).numpy()
    ties = [(2 * i + 1) * length % (2 * cells) == 0 for i in range(cells)]
    difference = got - np.asarray(small)
    assert not difference[:, np.logical_not(ties)].any()
    assert set(np.unique(difference)) <= {0, 1}
    assert length % 2 == 0 or not any(ties)  # an odd size, such as training's 321, has no such cell
    tall = shrink_labels(torch.from_numpy(label.T.copy()), (cells, 3)).numpy()
    assert np.array_equal(tall, got.T)


def test_aligned_labels_are_every_eighth_and_sixteenth():
    label = torch.randint(0, 171, (2, 1, 321, 321))
    assert torch.equal(shrink_labels(label, (41, 41), align_corners=True), label[..., ::8, ::8])
    assert torch.equal(shrink_labels(label, (21, 21), align_corners=True), label[..., ::16, ::16])
    # elsewhere the borders are kept and the rest is rounded: 0, 4.5, 9 of ten labels
    row = torch.arange(10).expand(3, 10)
    assert shrink_labels(row, (3, 3), align_corners=True)[0].tolist() == [0, 5, 9]
    assert shrink_labels(row, (3, 1), align_corners=True)[0].tolist() == [0]


# --- the maximum ----------------------------------------------------------------------------------


def _by_hand(net, x, align):
    """Logits of the three scales, and the maximum, one call after another."""
    size = x.shape[2:]
    z = {}
    for scale in (0.5, 0.75):
        new = [int((n - 1) * scale) + 1 if align else int(n * scale) for n in size]
        small = F.interpolate(x, new, mode='bilinear', align_corners=align)
        z[scale] = net.decode_head(net.backbone(small))
    z[1] = net.decode_head(net.backbone(x))
    up = {
        s: F.interpolate(v, z[1].shape[2:], mode='bilinear', align_corners=align)
        for s, v in z.items()
    }
    z['max'] = torch.stack([up[1], up[0.75], up[0.5]]).max(dim=0)[0]
    return z, up


@pytest.mark.parametrize('align', [False, True])
def test_fused_logits_are_the_maximum_over_scales(align):
    net = _model(align=align, loss_definition='full')
    x = torch.randn(2, 3, 65, 81)
    z, up = _by_hand(net, x, align)
    got = net(x, mode='tensor')
    torch.testing.assert_close(got, z['max'], rtol=1e-5, atol=1e-6)
    winners = {s for s in (0.5, 0.75, 1) if (up[s] == z['max']).any()}
    assert winners == {0.5, 0.75, 1}  # the maximum is not one scale's by accident


def test_prediction_has_the_original_size_and_one_resize():
    net = _model().eval()
    x = torch.randn(1, 3, 50, 70)
    with torch.no_grad():
        result = net(x, _samples((50, 70), 1), mode='predict')[0]
        fused = net(x, mode='tensor')
    expected = F.interpolate(fused, (50, 70), mode='bilinear', align_corners=False)
    torch.testing.assert_close(result.seg_logits.data, expected[0], rtol=1e-5, atol=1e-6)
    assert torch.equal(result.pred_sem_seg.data, expected.argmax(1))


def test_sliding_windows_use_all_scales():
    net = _model().eval()
    x = torch.randn(1, 3, 40, 40)
    samples = _samples((40, 40), 1)
    with torch.no_grad():
        whole = net(x, samples, mode='predict')[0].seg_logits.data
        net.test_cfg = ConfigDict(mode='slide', crop_size=(40, 40), stride=(40, 40))
        slid = net(x, samples, mode='predict')[0].seg_logits.data
    torch.testing.assert_close(slid, whole, rtol=1e-5, atol=1e-6)


# --- the losses -----------------------------------------------------------------------------------


def _cross_entropy(z, label):
    """Mean over labelled pixels, as a loop over classes."""
    log_p = z - z.exp().sum(dim=1, keepdim=True).log()
    valid = label != 255
    picked = sum(log_p[:, k] * (label == k) for k in range(CLASSES))
    return -picked.sum() / valid.sum()


def _pillow(label, z):
    size = (z.shape[3], z.shape[2])
    small = [
        np.asarray(Image.fromarray(row.numpy().astype(np.uint8)).resize(size, Image.NEAREST))
        for row in label
    ]
    return torch.from_numpy(np.stack(small)).long()


def _losses(net, x, samples):
    losses = net(x, samples, mode='loss')
    return {k: v for k, v in losses.items() if 'loss' in k}


def test_the_port_s_loss():
    net, x, samples = _model(), torch.randn(2, 3, 65, 81), _samples((65, 81))
    label = torch.cat([s.gt_sem_seg.data for s in samples])
    z, _ = _by_hand(net, x, False)
    got = _losses(net, x, samples)
    expected = {
        f'decode_x{s:g}.loss_ce': _cross_entropy(z[s], _pillow(label, z[s])) for s in (0.5, 0.75, 1)
    }
    expected['decode_max.loss_ce'] = _cross_entropy(z['max'], _pillow(label, z['max']))
    assert len(got) == 4
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_the_authors_loss():
    net = _model(align=True, loss_definition='caffe')
    x, samples = torch.randn(2, 3, 65, 81), _samples((65, 81))
    label = torch.cat([s.gt_sem_seg.data for s in samples])
    z, up = _by_hand(net, x, True)
    assert z[1].shape[2:] == (9, 11) and z[0.5].shape[2:] == (5, 6)
    every8, every16 = label[:, ::8, ::8], label[:, ::16, ::16]
    expected = {
        'decode_max.loss_ce': _cross_entropy(z['max'], every8),
        'decode_x1.loss_ce': _cross_entropy(z[1], every8),
        'decode_x0.75.loss_ce': _cross_entropy(up[0.75], every8),
        'decode_x0.5.loss_ce': _cross_entropy(z[0.5], every16),
    }
    torch.testing.assert_close(_losses(net, x, samples), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('align', [False, True])
def test_the_full_loss(align):
    net = _model(align=align, loss_definition='full')
    x, samples = torch.randn(2, 3, 65, 81), _samples((65, 81))
    label = torch.cat([s.gt_sem_seg.data for s in samples])
    z, _ = _by_hand(net, x, align)
    expected = {}
    for s in (0.5, 0.75, 1, 'max'):
        large = F.interpolate(z[s], (65, 81), mode='bilinear', align_corners=align)
        name = 'max' if s == 'max' else f'x{s:g}'
        expected[f'decode_{name}.loss_ce'] = _cross_entropy(large, label)
    torch.testing.assert_close(_losses(net, x, samples), expected, rtol=1e-5, atol=1e-6)


def test_one_scale_has_one_term_and_is_mmseg_s_encoder_decoder():
    net = _model(scales=(1.0,), loss_definition='full')
    plain = EncoderDecoder(**_settings())
    plain.load_state_dict(net.state_dict())
    plain.train()
    x, samples = torch.randn(2, 3, 41, 41), _samples((41, 41))
    got, expected = net(x, samples, mode='loss'), plain(x, samples, mode='loss')
    assert list(got) == ['decode_x1.loss_ce', 'decode_x1.acc_seg']
    torch.testing.assert_close(got['decode_x1.loss_ce'], expected['decode.loss_ce'])
    assert torch.equal(net(x, mode='tensor'), plain(x, mode='tensor'))


def test_samples_are_left_alone_and_ignored_images_cost_nothing():
    net, x, samples = _model(), torch.randn(2, 3, 33, 33), _samples((33, 33))
    for sample in samples:
        sample.gt_sem_seg.data[:] = 255
    losses = _losses(net, x, samples)
    assert losses and all(v == 0 for v in losses.values())
    assert samples[0].gt_sem_seg.data.shape == (1, 33, 33)


def test_the_network_is_shared_and_all_its_parameters_learn():
    net, x, samples = _model(), torch.randn(2, 3, 65, 65), _samples((65, 65))
    plain = EncoderDecoder(**_settings())
    assert set(net.state_dict()) == set(plain.state_dict())
    loss, _ = net.parse_losses(net(x, samples, mode='loss'))
    loss.backward()
    trained = {n: p for n, p in net.named_parameters() if p.requires_grad}
    assert [n for n, p in trained.items() if p.grad is None] == []


def test_an_auxiliary_head_sees_scale_one():
    aux = dict(
        type='FCNHead', in_channels=32, in_index=2, channels=4, num_convs=1, concat_input=False,
        num_classes=CLASSES, dropout_ratio=0, loss_decode=dict(type='CrossEntropyLoss'),
    )  # fmt: skip
    net = _model(auxiliary_head=aux)
    x, samples = torch.randn(2, 3, 41, 41), _samples((41, 41))
    losses = net(x, samples, mode='loss')
    expected = net.auxiliary_head.loss(net.backbone(x), samples, None)['loss_ce']
    torch.testing.assert_close(losses['aux.loss_ce'], expected)


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(scales=(0.5, 0.75)), r'with 1 among them, got \[0.5, 0.75\]'),
        (dict(scales=(1, 1.0)), 'scales must be different'),
        (dict(scales=(1, 0)), 'scales must be different positive'),
        (dict(loss_definition='both'), "must be 'port', 'caffe' or 'full', got 'both'"),
        (dict(align=True), "set decode_head.align_corners=False, or loss_definition='full'"),
        (dict(loss_definition='caffe'), "'caffe' contradicts decode_head.align_corners=False"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        _model(**settings)


def test_found_by_name():
    assert MODELS.get('MultiScaleEncoderDecoder') is MultiScaleEncoderDecoder
