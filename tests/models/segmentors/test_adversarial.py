"""Adversarial segmentors: each loss by hand, whose gradient goes where, equality with the row."""

import copy
import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from support.semi import NETWORK, PREPROCESSOR, TOY, labelled, unlabelled
from torch import nn

from mmseg_ext.engine.parts import PartsOptimWrapper
from mmseg_ext.models.segmentors.semi_inputs import Unlabelled

SMALL = dict(type='FCNDiscriminator', widths=(4, 4, 4, 4))
NONE = dict(adversarial_weight=0.0, unlabelled_weight=0.0, self_weight=0.0)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


@MODELS.register_module(name='_PixelJudge')
class PixelJudge(nn.Module):
    """A discriminator of single pixels without padding: the logit is a weighted sum."""

    def __init__(self, in_channels):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 1, 1)

    def forward(self, x):
        return self.conv(x)


def build(network=NETWORK, discriminator=SMALL, **settings):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='AdversarialSegmentor',
            segmentor=network,
            discriminator=discriminator,
            **settings,
        )
    )
    model.init_weights()
    return model.train()


def optimisers(model, *, kind=OptimWrapper, rate=0.1, **settings):
    return PartsOptimWrapper(
        **{
            name: kind(
                optimizer=torch.optim.SGD(getattr(model, name).parameters(), lr=rate), **settings
            )
            for name in ('segmentor', 'discriminator')
        }
    )


# --- a step by hand -------------------------------------------------------------------------------


def toy(**settings):
    """Two classes: p of class 1 is the sigmoid of 2 a for the gray value a.

    The judge's logit is 3 p - 1: of a true pixel 2 for class 1, -1 for class 0.
    """
    model = build(TOY, dict(type='_PixelJudge'), **settings)
    conv = model.segmentor.decode_head.conv_seg
    conv.weight.data.zero_()
    conv.bias.data.zero_()
    conv.weight.data[1, 0] = 2.0
    judge = model.discriminator.conv
    judge.weight.data.copy_(torch.tensor([0.0, 3.0]).view(1, 2, 1, 1))
    judge.bias.data.fill_(-1.0)
    return model


def pixels(*grays):
    image = torch.zeros(1, 3, 1, len(grays))
    image[0, 0, 0] = torch.tensor(grays)
    return image


def sample(*labels):
    size = (1, len(labels))
    meta = dict(img_shape=size, pad_shape=size, ori_shape=size, padding_size=[0] * 4)
    found = SegDataSample(metainfo=meta)
    found.gt_sem_seg = PixelData(data=torch.tensor([[labels]]))
    return found


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def test_every_loss_by_hand():
    model = toy(adversarial_weight=0.5, unlabelled_weight=0.25, self_weight=2.0, self_threshold=0.6)
    others = Unlabelled(
        pixels(1.0, -1.0, 0.2, 5.0),
        (),
        torch.tensor([[[False, False, False, True]]]),
        torch.tensor([[[1, 0, 0, 1]]]),
    )
    images, samples = pixels(0.5, -0.5, 7.0), [sample(1, 0, 255)]
    found = model(images, samples, mode='loss', unlabelled=others)

    p, q = [sigmoid(1), sigmoid(-1)], [sigmoid(2), sigmoid(-2), sigmoid(0.4)]
    told = {
        'p': [sigmoid(3 * x - 1) for x in p],
        'q': [sigmoid(3 * x - 1) for x in q],
    }
    truth = [sigmoid(2), sigmoid(-1)]  # that the true pixels, of class 1 and 0, are true ones
    accepted = [x > 0.6 for x in told['q']]
    assert accepted == [True, False, True]
    expected = {
        'decode.loss_ce': -(math.log(p[0]) + math.log(1 - p[1])) / 2,
        'adversarial.loss_labelled': -0.5 * sum(map(math.log, told['p'])) / 2,
        'adversarial.loss_unlabelled': -0.25 * sum(map(math.log, told['q'])) / 3,
        'semi.loss_self': -2.0 * (math.log(q[0]) + math.log(q[2])) / 2,
        'semi.coverage': 2 / 3,
        'semi.precision': 1 / 2,  # the third pixel is 0 in the reserve
        'discriminator.loss_predicted': -sum(math.log(1 - x) for x in told['p'] + told['q']) / 10,
        'discriminator.loss_true': -sum(map(math.log, truth)) / 4,
        'discriminator.accuracy': (
            sum(x < 0.5 for x in told['p'] + told['q']) / 5 + sum(x > 0.5 for x in truth) / 2
        ) / 2,
    }  # fmt: skip
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value, rel=1e-5), name
    assert set(found) - set(expected) == {'decode.acc_seg'}

    losses, logged = model.parse_losses(found)
    inner = [v for k, v in expected.items() if 'loss' in k and 'discriminator' not in k]
    judged = expected['discriminator.loss_predicted'] + expected['discriminator.loss_true']
    assert losses['segmentor'].item() == pytest.approx(sum(inner), rel=1e-5)
    assert losses['discriminator'].item() == pytest.approx(judged, rel=1e-5)
    assert logged['loss'] == losses['segmentor'] and 'discriminator.loss' in logged


def test_gradients_by_hand():
    """Of the adversarial loss for the segmentor, of both halves for the discriminator."""
    model = toy(mode='supervised', adversarial_weight=0.5)
    losses, _ = model.parse_losses(model(pixels(0.5), [sample(0)], mode='loss'))
    p = sigmoid(1)
    told = sigmoid(3 * p - 1)
    losses['segmentor'].backward(retain_graph=True)
    # cross entropy: p; adversarial: 0.5 (told - 1) of the judge's logit, 3 p (1 - p) of the logit
    slope = 0.5 * (p + 0.5 * (told - 1) * 3 * p * (1 - p))
    weight = model.segmentor.decode_head.conv_seg.weight
    assert weight.grad[1, 0].item() == pytest.approx(slope, rel=1e-5)
    losses['discriminator'].backward()
    weight = model.discriminator.conv.weight.grad.flatten()
    of_true = sigmoid(-1) - 1  # of the logit c
    assert weight[0].item() == pytest.approx((told * (1 - p) + of_true) / 2, rel=1e-5)
    assert weight[1].item() == pytest.approx(told * p / 2, rel=1e-5)


def test_what_ignored_pixels_and_padding_hold_moves_nothing():
    """With a discriminator whose pixels see their neighbours, in every loss and gradient."""
    found = []
    for value in (0.0, 4.0):
        model = build(TOY, self_threshold=0)
        images, samples = labelled()
        for one in samples:
            one.gt_sem_seg.data.clamp_(max=1)
            one.gt_sem_seg.data[..., 3:6] = 255
        images[..., 3:6] = value
        others = unlabelled()
        others.weak[others.ignore[:, None].expand_as(others.weak)] = value
        losses = model(images, samples, mode='loss', unlabelled=others)
        totals, _ = model.parse_losses(losses)
        sum(totals.values()).backward()
        found.append((losses, [p.grad for p in model.parameters()]))
    (one, grads), (other, others) = found
    assert len(one) == 9 and len(grads) == 12
    for name in one:
        torch.testing.assert_close(one[name], other[name], msg=name)
    torch.testing.assert_close(grads, others)


# --- whose gradient goes where --------------------------------------------------------------------


def test_each_loss_trains_its_own_network_alone():
    for name, other in (('segmentor', 'discriminator'), ('discriminator', 'segmentor')):
        model = build(self_threshold=0)
        (images, samples), others = labelled(), unlabelled()
        losses, _ = model.parse_losses(model(images, samples, mode='loss', unlabelled=others))
        losses[name].backward()
        trained = [p.grad for p in getattr(model, name).parameters()]
        assert trained and all(grad is not None for grad in trained)
        fixed = [p.grad for p in getattr(model, other).parameters()]
        assert fixed and all(grad is None for grad in fixed)
        assert all(p.requires_grad for p in model.parameters())


def test_without_weights_a_step_is_the_supervised_one_bit_for_bit():
    """Losses, weights, statistics; the unlabelled images are not even looked at."""
    (images, samples), others = labelled(), unlabelled()
    model = build(**NONE)
    plain = copy.deepcopy(model.segmentor)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    wrapper, ours = OptimWrapper(optimizer), optimisers(model)
    before = copy.deepcopy(model.discriminator.state_dict())
    for step in range(2):
        torch.manual_seed(step)
        loss, expected = plain.parse_losses(plain.loss(images, samples))
        wrapper.update_params(loss)
        torch.manual_seed(step)
        with ours.optim_context(model):
            losses = model(images, samples, mode='loss', unlabelled=others)
        totals, logged = model.parse_losses(losses)
        ours.update_params(totals)
        assert torch.equal(totals['segmentor'], loss)
        assert all(torch.equal(logged[name], value) for name, value in expected.items())
    state = model.segmentor.state_dict()
    assert all(torch.equal(state[name], value) for name, value in plain.state_dict().items())
    assert any(not torch.equal(before[k], v) for k, v in model.discriminator.state_dict().items())


@pytest.mark.parametrize('threshold, coverage', [(0, 1.0), (1, 0.0)])
def test_thresholds_0_and_1(threshold, coverage):
    model = build(self_threshold=threshold)
    images, samples = labelled()
    found = model(images, samples, mode='loss', unlabelled=unlabelled())
    assert found['semi.coverage'].item() == coverage
    assert (found['semi.loss_self'].item() > 0) == (threshold == 0)


def test_self_labels_begin_at_their_share_of_the_training():
    model, seen = build(self_threshold=0, self_start=0.5), []
    images, samples = labelled()
    ours = optimisers(model)
    ours.initialize_count_status(model, 0, 4)
    for _ in range(4):
        with ours.optim_context(model):
            losses = model(images, samples, mode='loss', unlabelled=unlabelled())
        ours.update_params(model.parse_losses(losses)[0])
        seen.append(losses['semi.loss_self'].item() > 0)
        assert losses['semi.coverage'] == 1
    assert seen == [False, False, True, True]


def test_unlabelled_images_wait_until_they_have_a_weight():
    model = build(unlabelled_weight=0.0, self_start=0.5)
    (images, samples), others = labelled(), unlabelled()
    for progress, looks in ((0.25, False), (0.5, True)):
        with model.in_step({}, progress):
            losses = model(images, samples, mode='loss', unlabelled=others)
        assert ('semi.loss_self' in losses) == looks
        assert 'adversarial.loss_unlabelled' not in losses


# --- precision, accumulation ----------------------------------------------------------------------


@pytest.mark.usefixtures('half')
def test_bfloat16_runs_and_the_losses_stay_float32():
    from mmseg_ext.engine.optim_wrapper import Bf16OptimWrapper

    model = build(self_threshold=0)
    images, samples = labelled()
    seen = []
    model.discriminator.register_forward_hook(lambda _m, _x, y: seen.append(y.dtype))
    ours = optimisers(model, kind=Bf16OptimWrapper)
    exact = model(images, samples, mode='loss', unlabelled=unlabelled())
    with ours.optim_context(model):
        losses = model(images, samples, mode='loss', unlabelled=unlabelled())
    ours.update_params(model.parse_losses(losses)[0])
    assert set(seen[-3:]) == {torch.bfloat16} and set(seen[:3]) == {torch.float32}
    for name in ('discriminator.loss_true', 'adversarial.loss_labelled'):
        assert losses[name].dtype == torch.float32
        assert losses[name].item() == pytest.approx(exact[name].item(), rel=0.02)


@pytest.mark.usefixtures('half')
def test_each_network_has_its_own_precision():
    from mmseg_ext.engine.optim_wrapper import Bf16OptimWrapper

    model, seen = build(self_threshold=0), {}
    for name in ('segmentor', 'discriminator'):
        layer = next(m for m in getattr(model, name).modules() if isinstance(m, nn.Conv2d))
        layer.register_forward_hook(lambda _m, _x, y, name=name: seen.update({name: y.dtype}))
    ours = optimisers(model)
    ours.optim_wrappers['discriminator'] = Bf16OptimWrapper(
        optimizer=ours['discriminator'].optimizer
    )
    images, samples = labelled()
    with ours.optim_context(model):
        model(images, samples, mode='loss', unlabelled=unlabelled())
    assert seen == dict(segmentor=torch.float32, discriminator=torch.bfloat16)
    assert model.contexts == {}


def exact_network():
    """Nothing that depends on the rest of the batch, so that a batch of two is two of one."""
    network = copy.deepcopy(NETWORK)
    norm = dict(type='GN', num_groups=2)
    for part in (network['backbone'], network['decode_head'], network['auxiliary_head']):
        part['norm_cfg'] = norm
    for head in (network['decode_head'], network['auxiliary_head']):
        head['dropout_ratio'] = 0
    return network


def test_two_half_batches_are_one_whole_batch():
    (images, samples), others = labelled(), unlabelled(count=2)
    others.ignore.zero_()
    found = []
    for halves in (1, 2):
        model = build(exact_network(), self_threshold=0, self_start=0)
        ours = optimisers(model, accumulative_counts=halves)
        ours.initialize_count_status(model, 0, 2)
        for part in range(halves):
            place = slice(None) if halves == 1 else slice(part, part + 1)
            some = Unlabelled(others.weak[place], (), others.ignore[place], None)
            with ours.optim_context(model):
                losses = model(images[place], samples[place], mode='loss', unlabelled=some)
            before = copy.deepcopy(model.state_dict())
            ours.update_params(model.parse_losses(losses)[0])
            waits = all(torch.equal(before[k], v) for k, v in model.state_dict().items())
            assert waits == (halves == 2 and part == 0)
        found.append(model.state_dict())
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-4, atol=1e-6, msg=name)


# --- networks and heads ---------------------------------------------------------------------------


def test_what_predicts_is_the_segmentor():
    model = build().eval()
    x = torch.randn(1, 3, 16, 16)
    assert torch.equal(model(x), model.segmentor(x))
    assert model.num_classes == 3 and model.decode_head is model.segmentor.decode_head
    assert {name.split('.')[0] for name in model.state_dict()} == {'segmentor', 'discriminator'}


def test_the_segmentor_begins_as_the_plain_row_does():
    model = build()
    torch.manual_seed(0)
    plain = MODELS.build(copy.deepcopy(NETWORK))
    plain.init_weights()
    state = model.segmentor.state_dict()
    assert all(torch.equal(state[k], v) for k, v in plain.state_dict().items())


def test_a_single_logit_is_two_classes():
    network = copy.deepcopy(NETWORK)
    for head in (network['decode_head'], network['auxiliary_head']):
        head.update(num_classes=2, out_channels=1, threshold=0.5)
        head['loss_decode'] = dict(type='CrossEntropyLoss', use_sigmoid=True)
    model = build(network, self_threshold=0)
    assert model.discriminator.layers[0].in_channels == 2
    images, samples = labelled()
    for one in samples:
        one.gt_sem_seg.data.clamp_(max=1)
    found = model(images, samples, mode='loss', unlabelled=unlabelled())
    assert found['semi.coverage'] == 1 and found['adversarial.loss_labelled'].isfinite()


def test_the_logits_are_those_of_the_loss_without_a_second_pass():
    from mmseg_ext.models.segmentors.passes import heard_logits, logits_of

    net = build(exact_network()).segmentor
    images, samples = labelled()
    calls = []
    net.backbone.register_forward_hook(lambda *_: calls.append(1))
    with heard_logits(net, images) as heard:
        net.loss(images, samples)
    assert len(calls) == 1 and 'loss_by_feat' not in vars(net.decode_head)
    torch.testing.assert_close(heard(), logits_of(net, images))


def scales():
    network = copy.deepcopy(exact_network())
    return dict(network, type='MultiScaleEncoderDecoder', scales=(0.5, 1.0))


def several_maps():
    """A head whose loss is of a tuple of maps."""
    network = exact_network()
    network['decode_head'] = dict(
        type='DAHead', in_channels=32, in_index=3, channels=8, pam_channels=4, dropout_ratio=0,
        num_classes=3, norm_cfg=dict(type='GN', num_groups=2),
        loss_decode=dict(type='CrossEntropyLoss'))  # fmt: skip
    return network


def with_classes_present():
    network = exact_network()
    norm = dict(type='GN', num_groups=2)
    network['decode_head'] = dict(
        type='EncHead', in_channels=[16, 32], in_index=(2, 3), channels=8, num_codes=2,
        dropout_ratio=0, num_classes=3, norm_cfg=norm,
        loss_decode=dict(type='CrossEntropyLoss'),
        loss_se_decode=dict(type='CrossEntropyLoss', use_sigmoid=True))  # fmt: skip
    return network


def cascade():
    network = exact_network()
    head = network['decode_head']
    last = dict(
        type='OCRHead', in_channels=32, in_index=3, channels=8, ocr_channels=8, dropout_ratio=0,
        num_classes=3, norm_cfg=dict(type='GN', num_groups=2),
        loss_decode=dict(type='CrossEntropyLoss'))  # fmt: skip
    heads = dict(type='CascadeEncoderDecoder', num_stages=2, decode_head=[head, last])
    return {**network, **heads}


@pytest.mark.parametrize('make', [scales, several_maps, with_classes_present, cascade])
def test_any_kind_of_encoder_decoder(make):
    """What the discriminator judges is what the network predicts, and every weight learns."""
    from mmseg_ext.models.segmentors.passes import heard_logits, logits_of

    model = build(make(), self_threshold=0)
    images, samples = labelled()
    with heard_logits(model.segmentor, images) as heard:
        model.segmentor.loss(images, samples)
    torch.testing.assert_close(heard(), logits_of(model.segmentor, images))
    losses = model(images, samples, mode='loss', unlabelled=unlabelled())
    sum(model.parse_losses(losses)[0].values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_a_head_that_says_nothing_of_its_maps_is_refused():
    network = exact_network()
    model = build(network)
    inner = model.segmentor.decode_head.forward
    model.segmentor.decode_head.forward = lambda x: [inner(x), inner(x)]
    model.segmentor.decode_head.loss_by_feat = lambda maps, samples: dict(loss=maps[0].sum())
    images, samples = labelled()
    with pytest.raises(ValueError, match='type=FCNHead trains by something else than one map'):
        model(images, samples, mode='loss', unlabelled=unlabelled())


def test_a_network_that_trains_on_the_middle_alone_is_refused():
    network = dict(
        type='EncoderDecoder', data_preprocessor=PREPROCESSOR,
        backbone=dict(type='UnpaddedUNet', widths=(2, 2, 2, 2, 2), mirror='test'),
        decode_head=dict(
            type='UnpaddedSegHead', in_channels=2, num_classes=3,
            loss_decode=dict(type='CrossEntropyLoss')))  # fmt: skip
    with pytest.raises(ValueError, match="set mirror='always'"):
        build(network)
    network['backbone']['mirror'] = 'always'
    assert build(network).num_classes == 3


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(self_weight=-0.1), 'self_weight must not be negative, got -0.1'),
        (dict(adversarial_weight=-1), 'adversarial_weight must not be negative'),
        (dict(self_weight='abc'), "^self_weight must be a number, got 'abc'$"),
        (dict(self_start='abc'), "^self_start must be a number, got 'abc'$"),
        (dict(self_threshold=1.5), r'self_threshold must lie in \[0, 1\], got 1.5'),
        (dict(self_start=2), r'self_start must lie in \[0, 1\], got 2'),
        (
            dict(discriminator=dict(SMALL, in_channels=21)),
            'in_channels=21 is not the number of classes, 3: leave it out',
        ),
        (dict(mode='hung'), "mode must be 'semi' or 'supervised', got 'hung'"),
    ],
)
def test_mistakes(settings, words):
    with pytest.raises(ValueError, match=words):
        build(**settings)


def test_a_batch_that_contradicts_the_mode():
    images, samples = labelled()
    with pytest.raises(ValueError, match="no unlabelled image, and mode='semi'.*'supervised'"):
        build()(images, samples, mode='loss')
    with pytest.raises(ValueError, match="unlabelled images, and mode='supervised'.*'semi'"):
        build(mode='supervised')(images, samples, mode='loss', unlabelled=unlabelled())


def test_a_plain_optimiser_is_refused():
    model = build()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match='an optimiser for each of its networks'):
        model.train_step({}, wrapper)
