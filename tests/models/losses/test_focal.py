"""Softmax focal and soft Dice losses against loops over pixels and exact properties."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_ext  # noqa: F401
from mmseg_ext.models.losses.focal import softmax_focal_loss

K = 5
TERMS = ['SoftmaxFocalLoss', 'SoftDiceLoss']


def build(name, **settings):
    return MODELS.build(dict(type=name, **settings))


def draw(seed=0, *, ignored=True):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, K, 6, 7, generator=generator)
    label = torch.randint(0, K, (2, 6, 7), generator=generator)
    if ignored:
        label[:, 0] = 255
        label[1, :, 3] = 255
    return logits, label


def focal_by_loop(logits, label, *, gamma, alpha=1.0, class_weight=None, average='valid'):
    total = divisor = 0.0
    for n in range(label.shape[0]):
        for h in range(label.shape[1]):
            for w in range(label.shape[2]):
                k = int(label[n, h, w])
                weight = 1.0 if class_weight is None or k == 255 else class_weight[k]
                divisor += (k != 255) * weight if average == 'valid' else 1
                if k == 255:
                    continue
                scores = [math.exp(float(x)) for x in logits[n, :, h, w]]
                p = scores[k] / sum(scores)
                total -= weight * alpha * (1 - p) ** gamma * math.log(p)
    return total / divisor


def dice_by_loop(logits, label, *, count_ignored, smooth=1e-5):
    prob = logits.double().softmax(1)
    scores = []
    for k in range(K):
        tp = guessed = labelled = 0.0
        for n in range(label.shape[0]):
            for h in range(label.shape[1]):
                for w in range(label.shape[2]):
                    truth = int(label[n, h, w])
                    p = float(prob[n, k, h, w])
                    tp += p * (truth == k)
                    guessed += p * (truth != 255 or count_ignored)
                    labelled += truth == k
        scores.append((2 * tp + smooth) / (guessed + labelled + smooth))
    return 1 - sum(scores) / K


@pytest.mark.parametrize('gamma', [0, 0.5, 1, 2, 5])
@pytest.mark.parametrize('average', ['valid', 'all'])
@pytest.mark.parametrize('class_weight', [None, [0.5, 1, 2, 0.1, 3]])
def test_focal_equals_a_loop_over_pixels(gamma, average, class_weight):
    logits, label = draw()
    settings = dict(gamma=gamma, alpha=0.7, average=average, class_weight=class_weight)
    got = build('SoftmaxFocalLoss', **settings)(logits, label)
    assert float(got) == pytest.approx(focal_by_loop(logits, label, **settings), rel=1e-5)


@pytest.mark.parametrize('count', [1, K - 1, K + 1])
def test_weights_for_other_numbers_of_classes_are_refused(count):
    with pytest.raises(ValueError, match=f'{count} weights for 5 classes'):
        softmax_focal_loss(*draw(), class_weight=torch.ones(count))


@pytest.mark.parametrize('class_weight', [None, [0.5, 1.0, 2.0, 0.1, 3.0]])
def test_gamma_zero_is_the_cross_entropy(class_weight):
    logits, label = draw()
    weight = None if class_weight is None else torch.tensor(class_weight)
    expected = F.cross_entropy(logits, label, weight=weight, ignore_index=255)
    got = build('SoftmaxFocalLoss', gamma=0.0, class_weight=class_weight)(logits, label)
    assert torch.allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_reference_repositories_variant():
    # alpha 0.5, gamma 2, and the mean divides by ignored pixels as well
    logits, label = draw()
    ce = F.cross_entropy(logits, label, ignore_index=255, reduction='none')
    expected = (0.5 * (1 - (-ce).exp()) ** 2 * ce).mean()
    got = build('SoftmaxFocalLoss', alpha=0.5, average='all')(logits, label)
    assert torch.allclose(got, expected, rtol=1e-5, atol=1e-6)
    valid = float((label != 255).float().mean())
    rest = build('SoftmaxFocalLoss', alpha=0.5)(logits, label)
    assert float(got) == pytest.approx(float(rest) * valid, rel=1e-5)


@pytest.mark.parametrize('count_ignored', [False, True])
def test_dice_equals_a_loop_over_pixels(count_ignored):
    logits, label = draw()
    got = build('SoftDiceLoss', count_ignored=count_ignored)(logits, label)
    expected = dice_by_loop(logits, label, count_ignored=count_ignored)
    assert float(got) == pytest.approx(expected, abs=1e-6)


def dice_formula(logits, label, weight, *, count_ignored, squared):
    """The definition with maps of labels in float64, for its gradient."""
    valid = (label != 255)[:, None]
    prob = logits.double().softmax(1)
    prob = prob if count_ignored else prob * valid
    truth = F.one_hot(label.where(label != 255, 0), K).permute(0, 3, 1, 2) * valid
    weight = weight[:, None].double()
    tp = (truth * prob * weight).sum((0, 2, 3))
    both = ((truth + (prob**2 if squared else prob)) * weight).sum((0, 2, 3))
    return 1 - ((2 * tp + 1e-5) / (both + 1e-5)).mean()


@pytest.mark.parametrize('count_ignored', [False, True])
@pytest.mark.parametrize('squared', [False, True])
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'float16'])
@pytest.mark.parametrize('weighted', [False, True])
def test_dice_and_its_gradient_equal_the_formula(count_ignored, squared, dtype, weighted):
    logits, label = draw(3)
    logits = logits.to(getattr(torch, dtype)).requires_grad_()
    weight = torch.rand(label.shape, generator=torch.Generator().manual_seed(1)) + 0.1
    settings = dict(count_ignored=count_ignored, squared=squared)
    got = build('SoftDiceLoss', **settings)(logits, label, weight if weighted else None)
    (got_grad,) = torch.autograd.grad(got, logits)
    assert got_grad.dtype == logits.dtype
    exact = logits.detach().double().requires_grad_()
    expected = dice_formula(
        exact, label, weight if weighted else torch.ones(label.shape), **settings
    )
    (expected_grad,) = torch.autograd.grad(expected, exact)
    assert float(got.detach()) == pytest.approx(float(expected.detach()), abs=1e-6)
    rounding = 1e-5 if dtype == 'float32' else float(torch.finfo(logits.dtype).eps)
    assert torch.allclose(got_grad.double(), expected_grad, rtol=rounding, atol=1e-7)


def test_dice_of_sure_predictions():
    _, label = draw(ignored=False)
    right = F.one_hot(label, K).permute(0, 3, 1, 2) * 100.0
    wrong = F.one_hot((label + 1) % K, K).permute(0, 3, 1, 2) * 100.0
    term = build('SoftDiceLoss')
    assert float(term(right, label)) == pytest.approx(0, abs=1e-6)
    assert float(term(wrong, label)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize('name', TERMS)
@pytest.mark.parametrize('value', [50.0, -3.0, float('inf')])
def test_logits_under_ignored_pixels_change_nothing(name, value):
    logits, label = draw()
    hidden = (label == 255).unsqueeze(1).expand_as(logits)
    changed = logits.clone()
    changed[:, 1] = torch.where(hidden[:, 1], torch.tensor(value), changed[:, 1])
    for x in (logits, changed):
        x.requires_grad_()
    term = build(name)
    before, after = term(logits, label), term(changed, label)
    assert torch.equal(before, after)
    before.backward()
    assert (logits.grad[hidden] == 0).all() and (logits.grad[~hidden] != 0).all()
    if math.isfinite(value):
        after.backward()
        assert torch.equal(logits.grad, changed.grad)


def test_the_repositories_dice_does_see_ignored_pixels():
    logits, label = draw()
    changed = logits + 5 * (label == 255).unsqueeze(1) * torch.eye(K)[1].view(1, K, 1, 1)
    term = build('SoftDiceLoss', count_ignored=True)
    assert abs(float(term(changed, label) - term(logits, label))) > 1e-3


@pytest.mark.parametrize('name', TERMS)
def test_all_ignored_gives_zero_and_no_gradient(name):
    logits, label = draw()
    logits.requires_grad_()
    loss = build(name)(logits, torch.full_like(label, 255))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-7)
    assert (logits.grad == 0).all()


@pytest.mark.parametrize('gamma', [0.0, 0.3, 1.0, 2.0])
def test_gradients_are_finite_at_both_ends(gamma):
    sure = torch.tensor([[[[80.0]], [[0.0]]], [[[0.0]], [[80.0]]]], requires_grad=True)
    label = torch.zeros(2, 1, 1, dtype=torch.long)  # the first is right, the second wrong
    loss = build('SoftmaxFocalLoss', gamma=gamma)(sure, label)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(sure.grad).all()
    assert float(loss.detach()) == pytest.approx(40, rel=1e-5)


@pytest.mark.parametrize('gamma', [0.0, 1.0, 2.5])
def test_gradient_equals_differences(gamma):
    logits, label = draw(1)
    term = build('SoftmaxFocalLoss', gamma=gamma, class_weight=[1.0, 2, 3, 1, 1])
    logits.requires_grad_()
    term(logits, label).backward()
    step = 0.01
    for place in [(0, 1, 2, 3), (1, 4, 5, 6), (0, 0, 3, 3)]:
        ends = []
        for sign in (1, -1):
            moved = logits.detach().clone()
            moved[place] += sign * step
            ends.append(focal_by_loop(moved, label, gamma=gamma, class_weight=[1, 2, 3, 1, 1]))
        expected = (ends[0] - ends[1]) / (2 * step)
        assert float(logits.grad[place]) == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_weight_and_reductions():
    logits, label = draw()
    pixel = softmax_focal_loss(logits, label)
    term = build('SoftmaxFocalLoss', loss_weight=3.0)
    assert torch.allclose(term(logits, label, reduction_override='none'), 3 * pixel)
    assert torch.allclose(term(logits, label, reduction_override='sum'), 3 * pixel.sum())
    assert torch.allclose(term(logits, label, avg_factor=10), 3 * pixel.sum() / 10)
    weight = torch.rand(label.shape, generator=torch.Generator().manual_seed(1))
    got = term(logits, label, weight=weight)
    assert torch.allclose(got, 3 * (pixel * weight).sum() / (label != 255).sum())


def test_half_precision_is_computed_in_float32():
    logits, label = draw()
    half = logits.bfloat16()
    for name in TERMS:
        term = build(name)
        assert torch.equal(term(half, label), term(half.float(), label))


def test_other_ignore_index():
    logits, label = draw()
    other = torch.where(label == 255, -100, label)
    for name in TERMS:
        term = build(name)
        assert torch.equal(term(logits, other, ignore_index=-100), term(logits, label))


@pytest.mark.parametrize('name, key', [(TERMS[0], 'loss_focal'), (TERMS[1], 'loss_dice')])
def test_a_head_of_mmseg_trains_with_it(name, key):
    torch.manual_seed(0)
    head = MODELS.build(
        dict(
            type='FCNHead',
            in_channels=3,
            channels=4,
            num_convs=1,
            num_classes=K,
            concat_input=False,
            loss_decode=dict(type=name),
        )
    )
    _, label = draw()
    samples = []
    for one in label:
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=one[None])))
    losses = head.loss_by_feat(head((torch.randn(2, 3, 6, 7),)), samples)
    losses[key].backward()
    assert float(head.conv_seg.weight.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(gamma=-1), 'gamma .* got -1'),
        (dict(average='some'), "got 'some'"),
        (dict(reduction='max'), "got 'max'"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        mmseg_ext.models.losses.SoftmaxFocalLoss(**settings)


def test_it_falls_under_training():
    logits, label = draw()
    logits.requires_grad_()
    for name in TERMS:
        term = build(name)
        first = term(logits, label)
        (slope,) = torch.autograd.grad(first, logits)
        assert term(logits - slope / slope.norm() * 0.1, label) < first
