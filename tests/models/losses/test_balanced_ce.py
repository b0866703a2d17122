"""Balanced cross entropy against loops over pixels, the paper's formula, and two processes."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_ext.models.losses import BalancedCrossEntropyLoss
from mmseg_ext.models.losses.class_weights import class_weights, count_pixels, normalize_weights

K = 5


def draw(seed=0, *, ignored=True):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, K, 6, 7, generator=generator)
    label = torch.randint(0, K, (2, 6, 7), generator=generator) // 2 * 2  # 0, 2 and 4
    label[0, 2, :3] = 1
    if ignored:
        label[:, 0] = 255
        label[1, :, 3] = 255
    return logits, label


def pixels(logits, label):
    """Scores and label of every valid pixel, as plain numbers."""
    for n in range(label.shape[0]):
        for h in range(label.shape[1]):
            for w in range(label.shape[2]):
                if int(label[n, h, w]) != 255:
                    yield [float(x) for x in logits[n, :, h, w]], int(label[n, h, w])


def softmax_by_loop(logits, label, weights):
    total = count = 0
    for scores, k in pixels(logits, label):
        p = math.exp(scores[k]) / sum(math.exp(s) for s in scores)
        total -= weights[k] * math.log(p)
        count += 1
    return total / count


def ovr_by_loop(logits, label, betas):
    total = count = 0
    for scores, k in pixels(logits, label):
        for c, score in enumerate(scores):
            p = 1 / (1 + math.exp(-score))
            b = betas[c]
            total -= b * math.log(p) if k == c else (1 - b) * math.log(1 - p)
            count += 1
    return total / count


def shares(label):
    labels = [k for _, k in pixels(torch.zeros(2, K, 6, 7), label)]
    return [labels.count(c) / len(labels) for c in range(K)]


def value(logits, label, *args, **settings):
    return float(BalancedCrossEntropyLoss(*args, **settings)(logits, label))


# --- the three modes ------------------------------------------------------------------------------


@pytest.mark.parametrize('beta', [0.0, 0.3, 0.75, 1.0])
@pytest.mark.parametrize('positive', [None, (2, 3)])
def test_softmax_equals_a_loop(beta, positive):
    logits, label = draw()
    inside = (1, 2, 3, 4) if positive is None else positive
    weights = [beta if k in inside else 1 - beta for k in range(K)]
    expected = softmax_by_loop(logits, label, weights)
    literal = value(logits, label, beta, positive=positive, rescale=False)
    assert literal == pytest.approx(expected, rel=1e-5)
    assert value(logits, label, beta, positive=positive) == pytest.approx(2 * expected, rel=1e-5)


def test_half_is_plain_cross_entropy_to_the_bit():
    logits, label = draw()
    expected = F.cross_entropy(logits, label, ignore_index=255, reduction='none').sum()
    assert value(logits, label, 0.5) == float(expected / (label != 255).sum())


@pytest.mark.parametrize('beta', [0.2, 0.9])
def test_ovr_equals_a_loop(beta):
    logits, label = draw()
    expected = ovr_by_loop(logits, label, [beta] * K)
    found = value(logits, label, beta, mode='ovr', rescale=False)
    assert found == pytest.approx(expected, rel=1e-5)
    assert value(logits, label, beta, mode='ovr') == pytest.approx(2 * expected, rel=1e-5)


@pytest.mark.parametrize('beta', [0.2, 0.9])
def test_one_channel_is_the_papers_formula(beta):
    logits, label = draw()
    one, binary = logits[:, :1], torch.where(label == 255, label, (label > 0).long())
    total = count = 0
    for scores, y in pixels(one, binary):
        p = 1 / (1 + math.exp(-scores[0]))
        p_t = p if y == 1 else 1 - p
        total -= (beta if y == 1 else 1 - beta) * math.log(p_t)
        count += 1
    found = value(one, binary, beta, mode='ovr', rescale=False)
    assert found == pytest.approx(total / count, rel=1e-5)
    # two channels of a softmax are one of a sigmoid: of their difference
    both = torch.cat([torch.zeros_like(one), one], dim=1)
    assert value(both, binary, beta, rescale=False) == pytest.approx(found, rel=1e-5)


def test_auto_is_the_share_of_negatives():
    logits, label = draw()
    part = shares(label)
    assert part[3] == 0 and 0.05 < part[0] < 0.95
    negative = part[0]
    weights = [negative if k else 1 - negative for k in range(K)]
    found = value(logits, label, 'auto', rescale=False)
    assert found == pytest.approx(softmax_by_loop(logits, label, weights), rel=1e-5)
    betas = [min(0.95, max(0.05, 1 - p)) for p in part]  # class 3 is absent: 0.95
    found = value(logits, label, mode='ovr', rescale=False)
    assert found == pytest.approx(ovr_by_loop(logits, label, betas), rel=1e-5)


def test_auto_of_one_channel():
    _, label = draw()
    binary = torch.where(label == 255, label, (label > 0).long())
    loss = BalancedCrossEntropyLoss(mode='ovr')
    assert float(loss.balance(binary, 1)) == pytest.approx(shares(label)[0])


@pytest.mark.parametrize('share, expected', [(0.0, 0.95), (1.0, 0.05), (0.75, 0.25)])
def test_auto_is_kept_within_bounds(share, expected):
    label = torch.zeros(1, 10, 10, dtype=torch.long)
    label.view(-1)[: int(100 * share)] = 1
    assert BalancedCrossEntropyLoss().balance(label, 2)[1] == pytest.approx(expected)


# by hand: 3 classes, two images of 8 pixels, of which the second has 2 labelled
LABEL = torch.tensor([[[0, 0, 0, 0, 0, 1, 1, 2]], [[0, 0, 255, 255, 255, 255, 255, 255]]])


def test_counts_by_hand():
    assert count_pixels(LABEL, 4).tolist() == [[7, 2, 1, 0], [16, 8, 8, 0]]


def test_weights_by_hand():
    counts, images = count_pixels(LABEL, 4)
    # shares 7/16, 2/8, 1/8: the median is 1/4
    median = class_weights(counts, image_pixels_K=images)
    assert median.tolist() == pytest.approx([4 / 7, 1, 2, 0])
    complement = class_weights(counts, method='complement')
    assert complement.tolist() == pytest.approx([0.3, 0.8, 0.9, 0])
    effective = class_weights(counts, method='effective', effective_beta=0.5)
    expected = [0.5 / (1 - 0.5**7), 0.5 / (1 - 0.25), 1, 0]
    assert effective.tolist() == pytest.approx(expected)
    assert class_weights(counts, method='effective', effective_beta=0.0).tolist() == [1, 1, 1, 0]
    scaled = normalize_weights(complement, counts)
    assert float((scaled * counts).sum()) == pytest.approx(10)
    assert (scaled / complement)[:3].tolist() == pytest.approx([10 / 4.6] * 3)


def test_the_median_of_an_even_number_of_classes():
    counts = torch.tensor([10, 20, 40, 80])
    weights = class_weights(counts, image_pixels_K=torch.full((4,), 100))
    assert weights.tolist() == pytest.approx([3, 1.5, 0.75, 0.375])


@pytest.mark.parametrize('weighting', ['median', 'effective', 'complement'])
@pytest.mark.parametrize('given', [False, True])
def test_per_class_equals_a_loop(weighting, given):
    logits, label = draw()
    counts, images = torch.tensor([[900, 90, 40, 20, 10], [999, 500, 400, 100, 50]])
    settings = dict(counts=counts.tolist(), image_pixels=images.tolist()) if given else {}
    if not given:
        counts, images = count_pixels(label, K)
    weights = class_weights(
        counts, method=weighting, image_pixels_K=images, effective_beta=0.99
    ).tolist()
    mean = sum(w * n for w, n in zip(weights, counts.tolist())) / int(counts.sum())
    expected = softmax_by_loop(logits, label, [w / mean for w in weights])
    settings.update(mode='per_class', weighting=weighting, effective_beta=0.99)
    assert value(logits, label, **settings) == pytest.approx(expected, rel=1e-5)


def test_given_weights_are_taken_as_they_are():
    logits, label = draw()
    weights = [0.2, 3.0, 1.0, 0.5, 2.0]
    found = value(logits, label, mode='per_class', class_weight=weights)
    assert found == pytest.approx(softmax_by_loop(logits, label, weights), rel=1e-5)


def test_equal_frequencies_are_plain_cross_entropy():
    logits = torch.randn(1, K, 5, 4, generator=torch.Generator().manual_seed(0))
    label = torch.arange(20).view(1, 5, 4) % K
    expected = float(F.cross_entropy(logits, label))
    for weighting in ('median', 'effective', 'complement'):
        found = value(logits, label, mode='per_class', weighting=weighting)
        assert found == pytest.approx(expected, rel=1e-6)


# --- what all modes share -------------------------------------------------------------------------

MODES = [dict(mode='softmax'), dict(mode='ovr'), dict(mode='per_class')]


@pytest.mark.parametrize('settings', MODES)
def test_ignored_pixels_count_nowhere(settings):
    logits, label = draw()
    logits.requires_grad_()
    loss = BalancedCrossEntropyLoss(**settings)
    first = loss(logits, label)
    first.backward()
    hidden = (label == 255).unsqueeze(1).expand_as(logits)
    assert not logits.grad[hidden].any() and logits.grad[~hidden].all()
    moved = logits.detach().clone()
    moved[hidden] = 1e4
    assert torch.equal(loss(moved, label), first)
    nothing = loss(logits, torch.full_like(label, 255))
    assert nothing == 0 and not torch.autograd.grad(nothing, logits)[0].any()
    other = torch.where(label == 255, -100, label)
    assert torch.equal(loss(logits, other, ignore_index=-100), first)


@pytest.mark.parametrize('settings', MODES)
def test_gradients_equal_finite_differences(settings):
    logits, label = draw()
    loss = BalancedCrossEntropyLoss(**settings)
    logits.requires_grad_()
    loss(logits, label).backward()
    generator = torch.Generator().manual_seed(2)
    direction = torch.randn(logits.shape, generator=generator)
    step = 1e-2
    ends = [float(loss((logits + s * step * direction).detach(), label)) for s in (1, -1)]
    expected = (ends[0] - ends[1]) / (2 * step)
    assert float((logits.grad * direction).sum()) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize('settings', MODES)
def test_weight_reductions_and_types(settings):
    logits, label = draw()
    loss = BalancedCrossEntropyLoss(**settings, loss_weight=3.0)
    pixel = BalancedCrossEntropyLoss(**settings, reduction='none')(logits, label)
    assert pixel.shape == label.shape
    valid = int((label != 255).sum())
    torch.testing.assert_close(loss(logits, label), 3 * pixel.sum() / valid)
    torch.testing.assert_close(loss(logits, label, avg_factor=10), 3 * pixel.sum() / 10)
    summed = loss(logits, label, reduction_override='sum')
    torch.testing.assert_close(summed, 3 * pixel.sum())
    weight = torch.rand(label.shape, generator=torch.Generator().manual_seed(1))
    weighted = loss(logits, label, weight=weight)
    torch.testing.assert_close(weighted, 3 * (pixel * weight).sum() / valid)
    every = BalancedCrossEntropyLoss(**settings, avg_non_ignore=False)
    torch.testing.assert_close(every(logits, label), pixel.sum() / label.numel())
    half = logits.bfloat16()
    assert torch.equal(loss(half, label), loss(half.float(), label))


def test_a_head_of_mmseg_trains_with_it():
    torch.manual_seed(0)
    head = MODELS.build(
        dict(
            type='ConvSegHead',
            in_channels=3,
            num_classes=K,
            loss_decode=dict(type='BalancedCrossEntropyLoss', positive=[2, 4]),
        )
    )
    _, label = draw()
    samples = [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in label]
    losses = head.loss_by_feat(head((torch.randn(2, 3, 6, 7),)), samples)
    losses['loss_balanced_ce'].backward()
    assert float(head.conv_seg.weight.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(beta=1.5), r"beta must be in \[0, 1\] or 'auto', got 1.5"),
        (dict(beta='half'), "got 'half'"),
        (dict(mode='focal'), "mode must be 'softmax', 'ovr' or 'per_class', got 'focal'"),
        (dict(weighting='root'), "weighting must be .* got 'root'"),
        (dict(reduction='max'), "reduction must be .* got 'max'"),
        (dict(mode='ovr', positive=[1]), "positive needs mode='softmax'"),
        (dict(positive=[]), "positive needs mode='softmax' and class ids"),
        (dict(counts=[1, 2]), "counts needs mode='per_class', not 'softmax'"),
        (dict(class_weight=[1, 2]), "class_weight needs mode='per_class', not 'softmax'"),
        (dict(mode='per_class', counts=[1], class_weight=[1]), 'both set the weights'),
        (dict(mode='per_class', weighting='median', counts=[1, 2]), 'needs image_pixels, too'),
        (dict(mode='per_class', counts=[1, 2], image_pixels=[1]), 'counts has 2 .* image_pixels 1'),
    ],
)
def test_bad_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        BalancedCrossEntropyLoss(**settings)


def test_settings_that_do_not_fit_the_head():
    logits, label = draw()
    with pytest.raises(ValueError, match=r'positive=\(7,\) does not fit 5 output channels'):
        BalancedCrossEntropyLoss(positive=[7])(logits, label)
    with pytest.raises(ValueError, match="a single channel needs mode='ovr'"):
        BalancedCrossEntropyLoss()(logits[:, :1], label)
    with pytest.raises(ValueError, match='counts has 2 classes, the head 5'):
        BalancedCrossEntropyLoss(mode='per_class', counts=[1, 2])(logits, label)
    with pytest.raises(ValueError, match='class_weight has 2 classes, the head 5'):
        BalancedCrossEntropyLoss(mode='per_class', class_weight=[1, 2])(logits, label)
    with pytest.raises(ValueError, match="'median' needs image_pixels"):
        class_weights(torch.ones(3))
    with pytest.raises(ValueError, match=r'effective_beta must be in \[0, 1\), got 1'):
        class_weights(torch.ones(3), method='effective', effective_beta=1)


# --- two processes --------------------------------------------------------------------------------

TWO = """
import torch
from mmseg_ext.models.losses import BalancedCrossEntropyLoss
label = torch.load({label!r})
for settings in (dict(), dict(mode='ovr'), dict(mode='per_class')):
    loss = BalancedCrossEntropyLoss(**settings)
    print(loss.balance(label[rank:rank + 1], 5).tolist())
    print(loss.balance(torch.full_like(label[:1], 255) if rank else label[:1], 5).tolist())
    if rank == 0:  # without gradients nobody waits for anybody
        with torch.no_grad():
            loss.balance(label[:1], 5)
"""


def test_two_processes_agree_with_the_joined_batch(tmp_path, two_ranks):
    _, label = draw()
    torch.save(label, tmp_path / 'label.pth')
    found = [text.splitlines() for text in two_ranks(TWO.format(label=str(tmp_path / 'label.pth')))]
    assert len(found[0]) == 6 and found[0] == found[1]
    for index, settings in enumerate((dict(), dict(mode='ovr'), dict(mode='per_class'))):
        loss = BalancedCrossEntropyLoss(**settings)
        for line, joined in zip(found[0][2 * index :], (label, label[:1])):
            numbers = [float(x) for x in line.strip('[]').split(',')]
            assert numbers == pytest.approx(loss.balance(joined, K).tolist(), rel=1e-9)
