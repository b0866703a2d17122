"""Semi-supervised segmentors: a FixMatch step by hand, the teacher's closed form, every method."""

import copy
import math

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from support.semi import NETWORK, TOY, labelled, unlabelled
from torch import nn

import mmseg_ext  # noqa: F401
from mmseg_ext.models.segmentors.semi import METHODS, SemiSegmentor
from mmseg_ext.models.segmentors.semi_inputs import Unlabelled


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def build(method='fixmatch', *, network=NETWORK, **settings):
    torch.manual_seed(0)
    settings = {**METHODS[method], **settings}
    model = MODELS.build(dict(type='SemiSegmentor', segmentor=network, **settings))
    model.init_weights()
    return model.train()


# --- a step by hand -------------------------------------------------------------------------------


def test_a_fixmatch_step_by_hand():
    """Two classes, a 1x1 convolution without bias: z1 - z0 is 2 a for the gray value a."""
    model = build(network=TOY, threshold=0.8, cutmix=None)
    for part in (model.student, model.teacher):
        conv = part.decode_head.conv_seg
        conv.weight.data.zero_()
        conv.bias.data.zero_()
        conv.weight.data[1, 0] = 2.0
    weak = torch.zeros(1, 3, 1, 4)
    weak[0, 0, 0] = torch.tensor([1.0, -1.0, 0.1, 3.0])  # sure of 1, of 0, unsure, sure of 1
    strong = torch.zeros(1, 3, 1, 4)
    strong[0, 0, 0] = torch.tensor([0.5, 0.5, 0.5, 0.5])
    ignore = torch.tensor([[[False, False, False, True]]])
    reserve = torch.tensor([[[1, 1, 1, 1]]])
    found = model.unlabelled_loss(Unlabelled(weak, (strong,), ignore, reserve))
    toward_1, toward_0 = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    assert found['semi.loss_strong_1'].item() == pytest.approx((toward_1 + toward_0) / 3, rel=1e-5)
    assert found['semi.coverage'].item() == pytest.approx(2 / 3)
    assert found['semi.precision'].item() == pytest.approx(1 / 2)
    found['semi.loss_strong_1'].backward()
    p = 1 / (1 + math.exp(-1))  # of class 1; the gradient of the logit is p - 1 and p, times 0.5
    weight = model.student.decode_head.conv_seg.weight
    assert weight.grad[1, 0].item() == pytest.approx(((p - 1) + p) / 3 * 0.5, rel=1e-5)
    assert model.teacher.decode_head.conv_seg.weight.grad is None


@pytest.mark.parametrize('method', ['fixmatch', 'cps'])
def test_unlabelled_losses_rise_to_their_weights(method):
    plain, rising = build(method), build(method, ramp_up=10)
    images = torch.randn(2, 3, 32, 32)
    batch = Unlabelled(images, (images,), torch.zeros(2, 32, 32, dtype=torch.bool), None)
    for step, weight in ((0, math.exp(-5)), (5, math.exp(-1.25)), (10, 1.0), (11, 1.0)):
        while rising.ema_steps < step:
            rising.update_teacher()  # what a step of the optimiser is followed by
        losses = []
        for model in (plain, rising):
            model.threshold = 0.0
            torch.manual_seed(step)
            losses.append(model.unlabelled_loss(batch))
        for name, loss in losses[0].items():
            factor = weight if 'loss' in name else 1.0
            assert losses[1][name].item() == pytest.approx(factor * loss.item(), rel=1e-5), name
        assert any('loss' in name and loss > 0 for name, loss in losses[0].items())


@pytest.mark.parametrize('threshold, coverage', [(0, 1.0), (1, 0.0)])
def test_thresholds_0_and_1(threshold, coverage):
    found = build(threshold=threshold).unlabelled_loss(unlabelled())
    assert found['semi.coverage'].item() == coverage
    assert (found['semi.loss_strong_1'].item() > 0) == (threshold == 0)


def test_a_mix_moves_labels_and_padding_with_the_image(monkeypatch):
    """The student that sees what the teacher sees, box for box, agrees with it."""
    from mmseg_ext.models.segmentors import semi

    boxes = torch.zeros(3, 16, 16, dtype=torch.bool)
    boxes[:, 2:9, 5:16] = True
    monkeypatch.setattr(semi, 'draw_boxes', lambda count, size, **_: boxes)
    model = build(network=TOY, threshold=0)
    weak = torch.randn(3, 3, 16, 16) * 50  # a network of single pixels, which is sure of each
    ignore = unlabelled().ignore
    seen = []
    monkeypatch.setattr(model, 'consistency', lambda *a, **k: seen.append(a) or torch.zeros(()))
    model.unlabelled_loss(Unlabelled(weak, (weak,), ignore, None))
    ((logits, prob, mixed_ignore),) = seen
    assert torch.equal(logits.argmax(1), prob.argmax(1))
    expected = torch.where(boxes, ignore.roll(-1, 0), ignore)
    assert torch.equal(mixed_ignore, expected) and not torch.equal(expected, ignore)


# --- the teacher ----------------------------------------------------------------------------------


def test_the_teacher_is_the_closed_form_buffers_included():
    model = build(momentum=0.3)
    history = [{k: v.clone() for k, v in model.teacher.state_dict().items()}]  # the first weights
    for _ in range(6):
        with torch.no_grad():
            for value in model.student.state_dict().values():
                value.add_(1 if not value.is_floating_point() else torch.randn_like(value))
        history.append({k: v.clone() for k, v in model.student.state_dict().items()})
        model.update_teacher()
    rates = [1, *(1 - min((1 + t) / (10 + t), 0.3) for t in range(6))]
    shares = [r * math.prod(1 - q for q in rates[t + 1 :]) for t, r in enumerate(rates)]
    assert rates[1:4] == pytest.approx([9 / 10, 9 / 11, 9 / 12]) and rates[5:] == [0.7, 0.7]
    assert sum(shares) == pytest.approx(1)
    names = list(history[0])
    assert any('running_var' in name for name in names)
    for name, value in model.teacher.state_dict().items():
        if name.endswith('num_batches_tracked'):
            assert value == history[-1][name]
        else:
            expected = sum(s * state[name].double() for s, state in zip(shares, history))
            torch.testing.assert_close(value.double(), expected, atol=1e-5, rtol=1e-4)
    assert model.ema_steps == 6


def test_the_teacher_begins_as_the_student_and_is_never_trained():
    model = build()
    state = model.teacher.state_dict()
    assert all(torch.equal(state[k], v) for k, v in model.student.state_dict().items())
    assert not any(p.requires_grad for p in model.teacher.parameters())
    assert model.student.training and not any(m.training for m in model.teacher.modules())


@pytest.mark.parametrize('mode, moved', [('eval', False), ('train', True)])
def test_labels_are_given_in_the_mode_that_is_asked_for(mode, moved):
    model = build(label_mode=mode)
    before = copy.deepcopy(model.teacher.state_dict())
    model.unlabelled_loss(unlabelled())
    after = model.teacher.state_dict()
    statistics = [k for k in after if 'running_mean' in k]
    assert statistics
    assert any(not torch.equal(before[k], after[k]) for k in statistics) == moved
    assert not model.teacher.training and model.student.training


def test_the_student_begins_as_the_plain_row_does():
    model = build()
    torch.manual_seed(0)
    plain = MODELS.build(copy.deepcopy(NETWORK))
    plain.init_weights()
    state = model.student.state_dict()
    assert all(torch.equal(state[k], v) for k, v in plain.state_dict().items())


# --- the methods ----------------------------------------------------------------------------------


def without_labels(method):
    """Settings of a method that gives unlabelled images no weight."""
    views = len(METHODS[method].get('strong_weights', (1,)))
    return dict(strong_weights=(0.0,) * views, feature_weight=0.0)


@pytest.mark.parametrize('method', METHODS)
def test_without_unlabelled_weight_the_loss_is_the_supervised_one_bit_for_bit(method):
    (images, samples), others = labelled(), unlabelled()
    model = build(method, **without_labels(method))
    supervised = [copy.deepcopy(model.student), copy.deepcopy(model.peer)]
    torch.manual_seed(3)
    expected = [net.loss(images, samples) for net in supervised if net is not None]
    terms = [value for losses in expected for key, value in losses.items() if 'loss' in key]
    torch.manual_seed(3)
    losses = model(images, samples, mode='loss', unlabelled=others)
    total, logged = model.parse_losses(losses)
    assert any('aux' in key for key in losses) and any(key.startswith('semi.') for key in losses)
    assert torch.equal(total, sum(terms))
    for key, value in expected[0].items():
        assert torch.equal(losses[key], value)


@pytest.mark.parametrize('method', METHODS)
def test_every_method_trains_the_students_alone(method):
    model = build(method, threshold=0)
    images, samples = labelled()
    losses = model(images, samples, mode='loss', unlabelled=unlabelled())
    unsupervised = {k: v for k, v in losses.items() if k.startswith('semi') and 'loss' in k}
    expected = len(model.strong_weights) * (1 + (model.peer is not None))
    assert len(unsupervised) == expected + bool(model.feature_weight)
    assert all(v.isfinite() and v > 0 for v in unsupervised.values())
    sum(unsupervised.values()).backward()
    trained = [model.student] + ([] if model.peer is None else [model.peer])
    for net in trained:
        named = [(n, p.grad) for n, p in net.named_parameters() if 'auxiliary' not in n]
        assert named and all(grad is not None for _, grad in named)
    if model.teacher is not None:
        assert all(p.grad is None for p in model.teacher.parameters())


def test_a_student_may_see_what_the_teacher_sees():
    model, seen = build('cps', cutmix=None), []
    inner = model.student.encode_decode
    model.student.encode_decode = lambda x, metas: seen.append(x) or inner(x, metas)
    images = unlabelled(views=0)
    model.unlabelled_loss(images)
    assert len(seen) == 2 and all(torch.equal(x, images.weak) for x in seen)


def test_two_students_differ_and_label_for_each_other():
    model = build('cps', cutmix=None)
    one, other = model.student.state_dict(), model.peer.state_dict()
    assert any(not torch.equal(one[k], other[k]) for k in one)
    images = unlabelled(views=1)
    asked = []
    for name in ('student', 'peer'):
        net = getattr(model, name)
        inner = net.encode_decode
        net.encode_decode = lambda x, metas, name=name, inner=inner: (
            asked.append((name, torch.is_grad_enabled())) or inner(x, metas)
        )
    model.unlabelled_loss(images)
    assert asked == [('peer', False), ('student', False), ('student', True), ('peer', True)]


def test_feature_dropout_takes_whole_channels_and_is_gone_afterwards():
    from mmseg_ext.models.segmentors.passes import dropped_features

    net = build().student.eval()
    x = torch.randn(1, 3, 16, 16)
    before = net.extract_feat(x)
    torch.manual_seed(0)
    with dropped_features(net, 0.5):
        dropped = net.extract_feat(x)
    assert len(before) == len(dropped) == 4
    for old, new in zip(before, dropped):
        gone = (new == 0).flatten(2).all(2)
        torch.testing.assert_close(new, torch.where(gone[..., None, None], 0 * old, 2 * old))
    assert (dropped[3] == 0).flatten(2).all(2).float().mean().item() == pytest.approx(0.5, abs=0.3)
    assert all(torch.equal(a, b) for a, b in zip(before, net.extract_feat(x)))


def test_passes_with_dropped_features_leave_running_statistics_alone():
    """Gradients are those of the pass without this; a plain pass moves the statistics."""
    from mmseg_ext.models.segmentors.passes import dropped_features, logits_of

    net = build().student.train()
    x = torch.randn(2, 3, 16, 16)
    norms = {k: v.clone() for k, v in net.named_buffers() if not k.startswith('auxiliary')}
    assert len(norms) > 30
    with dropped_features(net, 0.0):
        dropped = logits_of(net, x)
    now = dict(net.named_buffers())
    assert all(torch.equal(now[k], old) for k, old in norms.items())
    for layer in net.modules():
        if isinstance(layer, nn.Dropout2d):
            layer.p = 0.0
    with dropped_features(net, 0.0):
        dropped = logits_of(net, x)
    plain = logits_of(net, x)  # moves them before the backward pass of the first
    assert torch.equal(dropped, plain)
    weight = net.decode_head.conv_seg.weight
    grads = [torch.autograd.grad(logits.sum(), weight)[0] for logits in (dropped, plain)]
    assert torch.equal(*grads)
    now = dict(net.named_buffers())
    assert not any(torch.equal(now[k], old) for k, old in norms.items())


def _as_given(maps, half):
    """Which images have all channels as they were, in maps of two views of the same images."""
    return [i for i in range(half) if all(torch.equal(new[i], old[i]) for old, new in maps)]


def test_complementary_features_split_the_channels_between_the_views():
    from mmseg_ext.models.segmentors.passes import complementary_features

    net = build().student.eval()
    x = torch.randn(4, 3, 16, 16)
    before = net.extract_feat(torch.cat([x, x]))
    torch.manual_seed(0)
    with complementary_features(net):
        after = net.extract_feat(torch.cat([x, x]))
    maps = list(zip(before, after))
    assert len(maps) == 4
    intact = _as_given(maps, 4)
    assert len(intact) == 2  # half of the images, the same ones in all maps
    for old, new in maps:
        first, second = new[:4], new[4:]
        torch.testing.assert_close(first + second, 2 * old[:4])  # no channel is lost, none doubled
        for image in {0, 1, 2, 3} - {*intact}:
            ratio = (first[image] / old[image]).nanmean((1, 2))  # 0 / 0 where the ReLU was shut
            alive = ratio[~ratio.isnan()]
            assert len(alive) >= 2 and bool(((alive == 0) | (alive == 2)).all())
    wide = [(after[3][i, :, 0, 0] != 0).sum().item() for i in range(8)]
    assert len(set(wide)) > 2  # 32 channels: some go to each view
    assert all(torch.equal(a, b) for a, b in zip(before, net.extract_feat(torch.cat([x, x]))))


def test_complementary_features_of_tokens_and_maps_by_hand(monkeypatch):
    """Two images, none untouched: tokens (N, L, C) and maps of as many channels share a mask."""
    from mmseg_ext.models.segmentors import passes

    monkeypatch.setattr(passes.torch, 'randint', lambda *_: torch.tensor([[1, 0, 1], [0, 0, 1]]))
    net = nn.Module()
    net.with_neck, net.backbone = False, nn.Identity()
    tokens, maps = torch.ones(4, 5, 3), torch.ones(4, 3, 2, 2)
    with passes.complementary_features(net, untouched=0.0):
        found = net.backbone((tokens, maps))
    expected = torch.tensor([[2.0, 0, 2], [0, 0, 2], [0, 2, 0], [2, 2, 0]])
    assert torch.equal(found[0], expected[:, None, :].expand(4, 5, 3))
    assert torch.equal(found[1], expected[:, :, None, None].expand(4, 3, 2, 2))


def test_both_strong_views_learn_from_complementary_features():
    """UniMatch V2: the two views, alike here, share out what the heads see; no other pass does."""
    model = build('unimatch', complementary=True, feature_weight=0.0, cutmix=None, threshold=0)
    view = torch.randn(2, 3, 16, 16)
    images = Unlabelled(view, (view, view), torch.zeros(2, 16, 16, dtype=torch.bool), None)
    given, got = [], []
    model.student.backbone.register_forward_hook(lambda *args: given.append(args[2]))
    head = model.student.decode_head
    inner = head.forward
    head.forward = lambda maps: got.append(maps) or inner(maps)
    losses = model.unlabelled_loss(images)
    assert {key for key in losses if 'loss' in key} == {'semi.loss_strong_1', 'semi.loss_strong_2'}
    assert losses['semi.loss_strong_1'] != losses['semi.loss_strong_2']
    assert len(given) == len(got) == 1
    maps = list(zip(given[0], got[0]))
    assert len(_as_given(maps, 2)) == 1 and len(maps) == 4
    for old, new in maps:
        torch.testing.assert_close(new[:2] + new[2:], 2 * old[:2])
        assert not torch.equal(new[:2], new[2:])
    with pytest.raises(ValueError, match='complementary is about two views'):
        build('fixmatch', complementary=True)


def test_a_single_logit_is_two_classes():
    network = copy.deepcopy(NETWORK)
    for head in (network['decode_head'], network['auxiliary_head']):
        head.update(num_classes=2, out_channels=1, threshold=0.5)
        head['loss_decode'] = dict(type='CrossEntropyLoss', use_sigmoid=True)
    found = build(network=network, threshold=0).unlabelled_loss(unlabelled())
    assert found['semi.loss_strong_1'].isfinite() and found['semi.coverage'] == 1


# --- testing --------------------------------------------------------------------------------------


@pytest.mark.parametrize('method, name', [('fixmatch', 'teacher'), ('cps', 'student')])
def test_what_predicts_is_the_teacher_or_the_student_without_one(method, name):
    model = build(method)
    with torch.no_grad():
        for value in model.student.parameters():
            value.add_(0.1)
    model.eval()
    x = torch.randn(1, 3, 16, 16)
    plain = getattr(model, name)
    assert torch.equal(model(x), plain(x))
    mine, theirs = (net(x, mode='predict')[0] for net in (model, plain))
    assert torch.equal(mine.seg_logits.data, theirs.seg_logits.data)
    assert model.num_classes == 3 and model.decode_head is plain.decode_head


def test_a_checkpoint_holds_student_and_teacher_by_their_prefix():
    names = list(build().state_dict())
    assert {name.split('.')[0] for name in names} == {'student', 'teacher', 'ema_steps'}
    peers = {name.split('.')[0] for name in build('cps').state_dict()}
    assert peers == {'student', 'peer', 'ema_steps'}


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(momentum='abc'), "^momentum must be a number, got 'abc'$"),
        (dict(threshold='abc'), "^threshold must be a number, got 'abc'$"),
        (dict(ramp_up='abc'), "^ramp_up must be a number, got 'abc'$"),
        (dict(feature_weight='abc'), "^feature_weight must be a number, got 'abc'$"),
        (dict(momentum=1.0), r'momentum must lie in \[0, 1\), got 1.0'),
        (dict(ramp_up=-1), 'ramp_up must be a number of steps from 0, got -1'),
        (dict(threshold=1.5), r'threshold must lie in \[0, 1\], got 1.5'),
        (dict(targets='sharp'), 'targets'),
        (dict(label_mode='test'), 'label_mode'),
        (dict(student_view='odd'), 'student_view'),
        (dict(two_students=True), 'set momentum=None'),
        (dict(network=dict(type='MaskRCNNSegmentor')), 'take an EncoderDecoder'),
    ],
)
def test_mistakes(settings, words, monkeypatch):
    if 'network' in settings:
        monkeypatch.setattr(MODELS, 'build', _build_nothing(MODELS.build))
    with pytest.raises(ValueError, match=words):
        build(**settings)


def _build_nothing(build):
    def other(cfg, *args, **kwargs):
        return nn.Identity() if cfg['type'] == 'MaskRCNNSegmentor' else build(cfg, *args, **kwargs)

    return other


def test_too_few_strong_views():
    with pytest.raises(ValueError, match='set num_views of StrongView to 2'):
        build('unimatch').unlabelled_loss(unlabelled(views=1))


def test_every_method_has_settings_of_the_class():
    assert set(METHODS) == {'meanteacher', 'fixmatch', 'unimatch', 'cps'}
    assert all(isinstance(build(name), SemiSegmentor) for name in METHODS)
