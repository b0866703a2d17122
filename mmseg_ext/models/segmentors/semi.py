"""Learning with few labels: one segmentor around any other, whose switches are the methods.

Sources, per pixel as their public repositories have them: Mean Teacher, arXiv:1703.01780
(TorchSemiSeg); FixMatch, arXiv:2001.07685, and UniMatch, arXiv:2208.09910 (LiheYoung/UniMatch,
section 3); CPS, arXiv:2106.01226 (TorchSemiSeg). All MIT.

==========  =====  =======  =========  ======  =======  ===============
method      EMA    targets  threshold  CutMix  views    feature dropout
==========  =====  =======  =========  ======  =======  ===============
mean        0.99   soft     0          no      1 x 10   no
teacher
FixMatch    0.996  hard     0.95       yes     1 x 1    no
UniMatch    0.996  hard     0.95       yes     2 x .25  .5
UniMatch    0.996  hard     0.95       yes     2 x .5   complementary
V2
CPS         no     hard     0          yes     1 x 1    no
==========  =====  =======  =========  ======  =======  ===============

Differs from them: labelled and unlabelled images pass the network one after the other, so that the
labelled part is the row's own loss, bit for bit, and is not halved: where a source has
``(labelled + unlabelled) / 2``, its rate is to be halved instead. FixMatch and UniMatch have the
teacher of UniMatch's second version (arXiv:2410.10777). Mean Teacher has a tenth of its weight
there, 100, which held short runs back below training on labels alone. Feature dropout takes the
backbone's (or neck's) maps in a pass of its own, which leaves the running statistics of batch norm
alone: theirs normalises whole and dropped maps together, in training and so in the test. CPS
compares its networks on unlabelled images alone, and in the view with CutMix; both learn with the
run's one optimiser.
Shape letters: M unlabelled image, K class, H row, W column.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Optional

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from torch import Tensor

from ...core.labels import PSEUDO_THRESHOLD
from ...core.words import check_choice, check_number
from ..layers.cutmix import cut_mix, draw_boxes
from ..losses.consistency import hard_label_loss, soft_target_loss
from .passes import complementary_features, dropped_features, in_mode, logits_of
from .semi_inputs import Unlabelled, quality_of
from .teacher_student import TeacherStudent

_LOSSES: dict[str, Callable[..., Tensor]] = dict(hard=hard_label_loss, soft=soft_target_loss)

# Arguments of SemiSegmentor for each method, as its source has them.
METHODS: dict[str, dict] = dict(
    meanteacher=dict(
        momentum=0.99, targets='soft', threshold=0.0, cutmix=None, strong_weights=(10.0,)
    ),
    fixmatch=dict(threshold=0.95, strong_weights=(1.0,)),
    unimatch=dict(strong_weights=(0.25, 0.25), feature_weight=0.5),
    cps=dict(momentum=None, two_students=True, threshold=0.0, student_view='weak'),
)


@MODELS.register_module()
class SemiSegmentor(TeacherStudent):
    """Train a segmentor on labelled images and on what a teacher says of unlabelled ones.

    The student's loss on labelled images is the segmentor's own. Of each unlabelled image the
    teacher sees the weak view, and the student the strong ones, of the same crop. The teacher, or
    the student without one, is what is tested. ``EMATeacherHook`` must move the teacher.
    Beside the losses, ``semi.coverage`` is logged, the share of pixels that a pseudo label is taken
    from, and ``semi.precision``, the share of right ones among these, where the unlabelled images
    have masks in reserve. ``PseudoLabelMetric`` measures both on validation images.

    Args:
        segmentor: Config of an ``EncoderDecoder`` or of a kind of it.
        momentum: Of the teacher's moving average; ``None`` for no teacher, when the student labels
            for itself, or each of two students for the other.
        targets: ``'hard'``, pseudo labels, or ``'soft'``, probabilities.
        threshold: Least probability of a pixel's pseudo label.
        strong_weights: Weight of each view's loss; that many strong views the data must have.
        student_view: ``'strong'``, or ``'weak'`` for what the teacher sees, with CutMix.
        feature_weight: Weight of the weak view with feature dropout.
        feature_dropout: Share of channels that it drops.
        complementary: Give each channel of the features of half of the images to one of two strong
            views, twice as strong, and none to both, as UniMatch V2 does in place of
            ``feature_weight``.
        cutmix: ``prob``, ``area`` and ``ratio`` of :func:`~..layers.cutmix.draw_boxes`; ``None``
            for no CutMix.
        two_students: A second network of the same config, ``peer``, beside the student.
        label_mode: Whether labels are given in ``'eval'`` or ``'train'`` mode. The default is that
            of UniMatch's second version: the teacher's BN buffers are averages, too, and
            its labels do not depend on the rest of the batch. Mean Teacher and CPS in TorchSemiSeg
            label in training mode.
        ramp_up: Optimiser steps over which the unlabelled losses rise to their weights, by
            ``exp(-5 (1 - step / ramp_up)^2)`` as in the Mean Teacher paper. In a run of few
            iterations, soft targets of a teacher that knows nothing yet hold the student back.
        data_preprocessor: The segmentor's own; taken from ``segmentor`` without it.
        init_cfg: Of this wrapper; the segmentor has its own.

    Raises:
        ValueError: If a setting is out of range, contradicts another, or the segmentor is of a kind
            that gives no logits.
    """

    def __init__(
        self,
        *,
        segmentor: dict,
        momentum: Optional[float] = 0.996,
        targets: str = 'hard',
        threshold: float = 0.95,
        strong_weights: Sequence[float] = (1.0,),
        student_view: str = 'strong',
        feature_weight: float = 0.0,
        feature_dropout: float = 0.5,
        complementary: bool = False,
        cutmix: Optional[dict] = dict(prob=0.5),  # noqa: B006  # read-only, as in mmseg
        two_students: bool = False,
        label_mode: str = 'eval',
        ramp_up: int = 0,
        data_preprocessor: Optional[dict] = None,
        init_cfg: Optional[dict] = None,
    ) -> None:
        check_choice('targets', targets, tuple(_LOSSES))
        check_choice('student_view', student_view, ('strong', 'weak'))
        check_choice('label_mode', label_mode, ('eval', 'train'))
        _check_numbers(momentum, threshold, feature_dropout)
        check_number('ramp_up', ramp_up)
        check_number('feature_weight', feature_weight)
        if ramp_up < 0:
            raise ValueError(f'ramp_up must be a number of steps from 0, got {ramp_up}')
        if complementary and len(strong_weights) != 2:
            raise ValueError(
                f'complementary is about two views, and strong_weights has {len(strong_weights)} '
                'numbers: give two, such as (0.5, 0.5)'
            )
        super().__init__(
            segmentor,
            momentum=momentum,
            two_students=two_students,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.consistency = _LOSSES[targets]
        self.threshold = threshold
        self.strong_weights = tuple(strong_weights)
        self.student_view = student_view
        self.feature_weight = feature_weight
        self.feature_dropout = feature_dropout
        self.complementary = complementary
        self.cutmix = cutmix
        self.label_mode = label_mode
        self.ramp_up = ramp_up

    # --- training ---------------------------------------------------------------------------------

    def forward(
        self,
        inputs: Tensor,
        data_samples: Optional[list[SegDataSample]] = None,
        mode: str = 'tensor',
        unlabelled: Optional[Unlabelled] = None,
    ) -> Any:
        """As of any segmentor; in the mode ``'loss'``, with the unlabelled images of the batch."""
        result = super().forward(inputs, data_samples, mode)
        if mode == 'loss' and unlabelled is not None:
            result.update(self.unlabelled_loss(unlabelled))
        return result

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Losses of the labelled images: the segmentor's own, and a second student's."""
        losses = self.student.loss(inputs, data_samples)
        if self.peer is not None:
            losses.update(add_prefix(self.peer.loss(inputs, data_samples), 'peer'))
        return losses

    def predict(
        self, inputs: Tensor, data_samples: Optional[list[SegDataSample]] = None
    ) -> list[SegDataSample]:
        """Predict, and say from which probability on a pixel would be taught from."""
        found = super().predict(inputs, data_samples)
        for sample in found:
            sample.set_metainfo({PSEUDO_THRESHOLD: self.threshold})
        return found

    def unlabelled_loss(self, images: Unlabelled) -> dict[str, Tensor]:
        """Losses of the unlabelled images, coverage and precision of their labels.

        Raises:
            ValueError: If there are fewer strong views than ``strong_weights``.
        """
        images = images._replace(strong=self._views(images))
        boxes = [self._boxes(images.weak) for _ in self.strong_weights]  # the same for all students
        labels = {name: self._label(labeller, images.weak) for name, _, labeller in self._pairs()}
        losses: dict[str, Tensor] = {}
        for name, learner, _ in self._pairs():
            terms = self._raised(self._learn(learner, labels[name], images, boxes))
            terms.update(self._quality(labels[name], images))
            losses.update(add_prefix(terms, name))
        return losses

    def _raised(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses with the weight that they have at this step."""
        step = int(self.ema_steps)
        if step >= self.ramp_up:
            return losses
        weight = math.exp(-5 * (1 - step / self.ramp_up) ** 2)
        return {name: weight * loss for name, loss in losses.items()}

    def _views(self, images: Unlabelled) -> tuple[Tensor, ...]:
        """What the students see, one for each of ``strong_weights``."""
        count = len(self.strong_weights)
        if self.student_view == 'weak':
            return (images.weak,) * count
        if len(images.strong) < count:
            raise ValueError(
                f'strong_weights has {count} numbers, and the images have {len(images.strong)} '
                f'strong views: set num_views of StrongView to {count}'
            )
        return images.strong[:count]

    def _pairs(self) -> list[tuple[str, EncoderDecoder, EncoderDecoder]]:
        """Who learns from whom, under which name."""
        if self.peer is not None:
            return [('semi', self.student, self.peer), ('semi_peer', self.peer, self.student)]
        return [('semi', self.student, self.tested)]

    def _boxes(self, images: Tensor) -> Tensor:
        size, count = images.shape[2:], len(images)
        if self.cutmix is None:
            return torch.zeros(count, *size, dtype=torch.bool)
        return draw_boxes(count, size, **self.cutmix)

    @torch.no_grad()
    def _label(self, labeller: EncoderDecoder, images: Tensor) -> Tensor:
        """Probabilities ``(M, K, H, W)``."""
        with in_mode(labeller, training=self.label_mode == 'train'):
            return logits_of(labeller, images).float().softmax(1)

    def _learn(
        self, learner: EncoderDecoder, prob: Tensor, images: Unlabelled, boxes: list[Tensor]
    ) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        views = list(zip(self.strong_weights, images.strong, boxes))
        if views:
            mixed = torch.cat([cut_mix(view, box) for _, view, box in views])
            with complementary_features(learner) if self.complementary else nullcontext():
                seen = logits_of(learner, mixed).chunk(len(views))
            for index, ((weight, _, box), logits) in enumerate(zip(views, seen), start=1):
                loss = self._compare(logits, cut_mix(prob, box), cut_mix(images.ignore, box))
                terms[f'loss_strong_{index}'] = weight * loss
        if self.feature_weight:
            with dropped_features(learner, self.feature_dropout):
                logits = logits_of(learner, images.weak)
            terms['loss_feature'] = self.feature_weight * self._compare(logits, prob, images.ignore)
        return terms

    def _compare(self, logits: Tensor, prob: Tensor, ignore: Tensor) -> Tensor:
        return self.consistency(logits, prob, ignore, threshold=self.threshold)

    def _quality(self, prob: Tensor, images: Unlabelled) -> dict[str, Tensor]:
        """Coverage and, with masks in reserve, precision of the labels."""
        confidence, label = prob.max(1)
        sure = (confidence >= self.threshold) & ~images.ignore
        return quality_of(label, sure, images, prob.shape[1])


def _check_numbers(momentum: Optional[float], threshold: float, dropout: float) -> None:
    for name, value in dict(momentum=momentum, feature_dropout=dropout).items():
        if value is None:
            continue
        check_number(name, value)
        if not 0 <= value < 1:
            raise ValueError(f'{name} must lie in [0, 1), got {value}')
    check_number('threshold', threshold)
    if not 0 <= threshold <= 1:
        raise ValueError(f'threshold must lie in [0, 1], got {threshold}')
