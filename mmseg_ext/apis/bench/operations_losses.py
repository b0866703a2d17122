"""The losses in ``operations``, with their gradients, and their formulas in torch's operators.

Shape letters: N image, K class, H row, W column.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor

from ...core.labels import IGNORE
from ...models.losses.consistency import hard_label_loss, soft_target_loss
from ...models.losses.focal import softmax_focal_loss
from ...models.losses.soft_dice import soft_dice_loss

CLASSES = 21
_LIMITS = (0.05, 0.95)  # of the balanced cross entropy's beta
Loss = Callable[[Tensor], Tensor]  # logits (N, K, H, W) to a scalar


def label_maps(size: int, batch: int) -> Tensor:
    """Label maps with objects, ``(N, H, W)``; the first rows are ignored."""
    coarse = torch.randint(CLASSES, (batch, 1, 8, 8)).float()
    labels = F.interpolate(coarse, size=(size, size))[:, 0].long()
    labels[:, : size // 32] = IGNORE
    return labels


def losses(
    size: int, batch: int
) -> Iterator[tuple[str, str, Callable[[], Any], Callable[[], Any], float]]:
    """Yield each loss as ``operations`` takes it.

    Args:
        size: Height and width of the label maps.
        batch: Their number.
    """
    logits, label = torch.randn(batch, CLASSES, size, size), label_maps(size, batch)
    teacher = (3 * torch.randn_like(logits)).softmax(1)
    shape = f'{batch}x{CLASSES}x{size}x{size}, with its gradient'
    for name, ours, theirs in (*_with_labels(label), *_with_a_teacher(teacher, label)):
        sides = (_with_gradient(loss, logits) for loss in (ours, theirs))
        yield (f'{name}, {shape}', "its formula in torch's operators", *sides, 1e-4)  # type: ignore[misc]


def _with_gradient(loss: Loss, x: Tensor) -> Callable[[], tuple]:
    leaf = x.clone().requires_grad_()

    def step() -> tuple:
        value = loss(leaf)
        return value.detach(), torch.autograd.grad(value, leaf)[0]

    return step


def _with_labels(label: Tensor) -> Iterator[tuple[str, Loss, Loss]]:
    counted = (label != IGNORE).sum()

    def focal(x: Tensor) -> Tensor:
        return softmax_focal_loss(x, label).sum() / counted

    yield 'focal loss', focal, partial(_plain_focal, label=label)
    dice = partial(soft_dice_loss, label_NHW=label, smooth=1e-5)
    yield 'soft Dice loss', dice, partial(_plain_dice, label=label)
    init_default_scope('mmseg')
    for mode, name, plain in (
        ('softmax', 'balanced cross entropy', _plain_balanced),
        ('ovr', 'balanced cross entropy, each class against the rest', _plain_one_against_rest),
        ('per_class', 'balanced cross entropy, a weight a class', _plain_per_class),
    ):
        term = MODELS.build(dict(type='BalancedCrossEntropyLoss', mode=mode))
        yield name, partial(term, label=label), partial(plain, label=label)


def _with_a_teacher(teacher: Tensor, label: Tensor) -> Iterator[tuple[str, Loss, Loss]]:
    valid = label != IGNORE
    for name, ours, plain in (
        ("cross entropy with a teacher's classes", hard_label_loss, _plain_hard),
        ("squared difference to a teacher's probabilities", soft_target_loss, _plain_soft),
    ):
        theirs = partial(plain, prob=teacher, valid=valid)
        yield name, partial(ours, prob_NKHW=teacher, ignore_NHW=~valid), theirs


# --- the formulas ---------------------------------------------------------------------------------


def _known(label: Tensor) -> tuple[Tensor, Tensor]:
    valid = label != IGNORE
    return label.where(valid, 0), valid


def _one_hot(label: Tensor) -> Tensor:
    known, valid = _known(label)
    return F.one_hot(known, CLASSES).permute(0, 3, 1, 2) * valid[:, None]


def _cross_entropy(x: Tensor, label: Tensor) -> Tensor:
    return -x.log_softmax(1).gather(1, label[:, None])[:, 0]


def _plain_focal(x: Tensor, label: Tensor) -> Tensor:
    known, valid = _known(label)
    p = x.softmax(1).gather(1, known[:, None])[:, 0]
    return (-((1 - p) ** 2) * p.log() * valid).sum() / valid.sum()


def _plain_dice(x: Tensor, label: Tensor) -> Tensor:
    truth, prob = _one_hot(label), x.softmax(1) * (label != IGNORE)[:, None]
    tp, both = (truth * prob).sum((0, 2, 3)), (truth + prob).sum((0, 2, 3))
    return 1 - ((2 * tp + 1e-5) / (both + 1e-5)).mean()


def _share(label: Tensor) -> Tensor:
    counts = torch.bincount(label[label != IGNORE], minlength=CLASSES)
    return counts / counts.sum()


def _plain_balanced(x: Tensor, label: Tensor) -> Tensor:
    (known, valid), beta = _known(label), _share(label)[0].clamp(*_LIMITS)
    weight = torch.where(known > 0, beta, 1 - beta)
    return 2 * (_cross_entropy(x, known) * weight * valid).sum() / valid.sum()


def _plain_one_against_rest(x: Tensor, label: Tensor) -> Tensor:
    truth, valid = _one_hot(label).float(), label != IGNORE
    beta = (1 - _share(label)).clamp(*_LIMITS).view(-1, 1, 1)
    loss = F.binary_cross_entropy_with_logits(x, truth, reduction='none')
    loss = (loss * torch.where(truth > 0, beta, 1 - beta)).mean(1)
    return 2 * (loss * valid).sum() / valid.sum()


def _plain_per_class(x: Tensor, label: Tensor) -> Tensor:
    (known, valid), share = _known(label), _share(label)
    weight = (1 - share).masked_fill(share == 0, 0.0)
    weight = weight / (weight * share).sum()
    return (_cross_entropy(x, known) * weight[known] * valid).sum() / valid.sum()


def _plain_hard(x: Tensor, prob: Tensor, valid: Tensor) -> Tensor:
    confidence, label = prob.max(1)
    sure = (confidence >= 0.95) & valid
    return (_cross_entropy(x, label) * sure).sum() / valid.sum()


def _plain_soft(x: Tensor, prob: Tensor, valid: Tensor) -> Tensor:
    return ((x.softmax(1) - prob).square().mean(1) * valid).sum() / valid.sum()
