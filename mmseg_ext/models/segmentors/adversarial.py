"""Adversarial learning: a discriminator judges each pixel of what a segmentor predicts.

Sources: "Semantic Segmentation using Adversarial Networks" (Luc et al. 2016),
https://arxiv.org/abs/1611.08408, supervised, and "Adversarial Learning for Semi-Supervised Semantic
Segmentation" (Hung et al. 2018), https://arxiv.org/abs/1802.07934, with its public script
(hfslyc/AdvSemiSeg, Apache-2.0).

=================  ====================================================  ======
loss               of                                                    weight
=================  ====================================================  ======
segmentor's own    labelled images                                       1
adversarial        labelled: predictions that are taken for true ones    0.01
adversarial        unlabelled: the same                                  0.001
self-labels        unlabelled: cross entropy with the prediction itself  0.1
                   where the discriminator gives it more than 0.2
discriminator      half of predictions, half of one-hot masks            1
=================  ====================================================  ======

Differs from them: the true masks are those of the batch's own labelled images, not of a second
draw. In predictions, too, ignored pixels and padding are zero for all classes, or the discriminator
would tell masks by them. Luc's discriminator sees the image beside the label map, this one sees the
label map alone. Unlabelled images whose losses have no weight (yet) are not looked at.
Shape letters: N labelled image, M unlabelled image, K class, H row, W column.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Optional

import torch
from mmengine.optim import OptimWrapperDict
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.func import functional_call

from ...core.words import check_choice, check_number
from ..layers.highest import highest
from ..losses.adversarial import judged_loss, judged_right, one_hot, self_label_loss
from .passes import heard_logits, last_head, logits_of
from .semi_inputs import Unlabelled, quality_of
from .wrapped import WrappedSegmentor, build_segmentor

MODES = ('semi', 'supervised')
_OF_DISCRIMINATOR = 'discriminator.'


@MODELS.register_module()
class AdversarialSegmentor(WrappedSegmentor):
    """Train a segmentor against a discriminator; the segmentor alone is tested.

    ``optim_wrapper`` needs ``PartsOptimWrapperConstructor`` with ``segmentor`` and
    ``discriminator``. Beside the losses are logged: ``discriminator.accuracy``, the share of pixels
    that it tells right, and of the unlabelled images ``semi.coverage``, the share of pixels whose
    self-label is accepted, and, where they have masks in reserve, ``semi.precision``, the share of
    right ones among these.

    Args:
        segmentor: Config of an ``EncoderDecoder`` or of a kind of it.
        discriminator: Config of a network from ``in_channels`` maps, which is added, to one.
        mode: ``'semi'``, where each batch must hold unlabelled images, or ``'supervised'``, where
            none may.
        adversarial_weight: Of the adversarial loss on labelled images.
        unlabelled_weight: Of the adversarial loss on unlabelled images.
        self_weight: Of the self-labels.
        self_threshold: A self-label is accepted above this probability of being true; 0 accepts
            all, 1 none.
        self_start: Share of the iterations after which self-labels are learnt from, in [0, 1].
        data_preprocessor: The segmentor's own; taken from ``segmentor`` without it.
        init_cfg: Of this wrapper; the segmentor has its own.

    Raises:
        ValueError: If a weight is negative, another setting out of range, or the segmentor is of a
            kind that gives no logits.
    """

    def __init__(
        self,
        *,
        segmentor: dict,
        discriminator: dict = dict(type='FCNDiscriminator'),  # noqa: B006  # read-only
        mode: str = 'semi',
        adversarial_weight: float = 0.01,
        unlabelled_weight: float = 0.001,
        self_weight: float = 0.1,
        self_threshold: float = 0.2,
        self_start: float = 0.25,
        data_preprocessor: Optional[dict] = None,
        init_cfg: Optional[dict] = None,
    ) -> None:
        check_choice('mode', mode, MODES)
        weights = dict(
            adversarial_weight=adversarial_weight,
            unlabelled_weight=unlabelled_weight,
            self_weight=self_weight,
        )
        _check_numbers(weights, self_threshold=self_threshold, self_start=self_start)
        super().__init__(segmentor, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.weights = weights
        self.segmentor = build_segmentor(segmentor)
        classes = max(2, self.segmentor.out_channels)  # a single logit is two classes
        self.discriminator = _build_discriminator(discriminator, classes)
        self.mode = mode
        self.self_threshold = self_threshold
        self.self_start = self_start
        self.contexts: dict[str, Callable[[], AbstractContextManager]] = {}
        self.progress = 1.0

    @property
    def tested(self) -> EncoderDecoder:
        """The network that predicts."""
        return self.segmentor

    # --- a step -----------------------------------------------------------------------------------

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """Train both networks on a batch.

        Raises:
            ValueError: If there is but one optimiser.
        """
        if not isinstance(optim_wrapper, OptimWrapperDict):
            raise ValueError(
                'AdversarialSegmentor needs an optimiser for each of its networks: '
                "optim_wrapper=dict(constructor='PartsOptimWrapperConstructor', "
                'segmentor=dict(optimizer=...), discriminator=dict(optimizer=...))'
            )
        return super().train_step(data, optim_wrapper)

    @contextmanager
    def in_step(
        self, contexts: dict[str, Callable[[], AbstractContextManager]], progress: float
    ) -> Iterator[None]:
        """Know each network's context, and how far the training has come, for one pass."""
        self.contexts, self.progress = contexts, progress
        try:
            yield
        finally:
            self.contexts, self.progress = {}, 1.0

    def _context(self, part: str) -> AbstractContextManager:
        return self.contexts.get(part, nullcontext)()

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict]:
        """Sum the losses of each network; ``loss`` in the log is the segmentor's."""
        inner = {k: v for k, v in losses.items() if not k.startswith(_OF_DISCRIMINATOR)}
        other = {k: v for k, v in losses.items() if k.startswith(_OF_DISCRIMINATOR)}
        total, logged = super().parse_losses(inner)
        judged, told = super().parse_losses(other)
        told[f'{_OF_DISCRIMINATOR}loss'] = told.pop('loss')
        return dict(segmentor=total, discriminator=judged), {**logged, **told}

    # --- losses -----------------------------------------------------------------------------------

    def forward(
        self,
        inputs: Tensor,
        data_samples: Optional[list[SegDataSample]] = None,
        mode: str = 'tensor',
        unlabelled: Optional[Unlabelled] = None,
    ) -> Any:
        """As of any segmentor; in the mode ``'loss'``, with the unlabelled images of the batch."""
        if mode != 'loss':
            return super().forward(inputs, data_samples, mode)
        self._check_batch(unlabelled)
        return self.loss(inputs, data_samples or [], unlabelled)

    def _check_batch(self, unlabelled: Optional[Unlabelled]) -> None:
        if (unlabelled is None) == (self.mode == 'semi'):
            holds = 'holds no unlabelled image' if unlabelled is None else 'holds unlabelled images'
            other = MODES[self.mode == 'semi']
            raise ValueError(
                f'a batch {holds}, and mode={self.mode!r}: change the training data, or set '
                f'model.mode={other!r}'
            )

    def loss(
        self,
        inputs: Tensor,
        data_samples: list[SegDataSample],
        unlabelled: Optional[Unlabelled] = None,
    ) -> dict[str, Tensor]:
        """Losses of both networks; those of the discriminator begin with its name."""
        label = torch.stack([sample.gt_sem_seg.data[0] for sample in data_samples])
        with self._context('segmentor'), heard_logits(self.segmentor, inputs) as heard:
            losses = self.segmentor.loss(inputs, data_samples)
        prob = heard().float().softmax(1)
        ignored = last_head(self.segmentor).ignore_index
        truth, valid = one_hot(label, prob.shape[1], ignore_index=ignored)
        shown = _shown(prob, valid)
        predicted = [(shown, valid)]
        losses.update(self._fooled(self._judge_fixed(shown), valid, 'adversarial_weight'))
        if unlabelled is not None and self._looks():
            terms, seen = self._unlabelled_loss(unlabelled)
            losses.update(terms)
            predicted.append(seen)
        losses.update(self._judged(truth, valid, predicted))
        return losses

    def _fooled(self, judged: Tensor, valid: Tensor, weight: str) -> dict[str, Tensor]:
        """The adversarial loss: predictions are to be taken for true masks."""
        name = 'labelled' if weight == 'adversarial_weight' else 'unlabelled'
        if not self.weights[weight]:
            return {}
        loss = judged_loss(judged, valid, true=True)
        return {f'adversarial.loss_{name}': self.weights[weight] * loss}

    def _judge_fixed(self, shown_NKHW: Tensor) -> Tensor:
        """The discriminator's logits ``(N, H, W)``, whose gradient does not reach its weights."""
        fixed = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        with self._context('discriminator'):
            return functional_call(self.discriminator, fixed, (shown_NKHW,)).squeeze(1)

    def _judged(
        self, truth: Tensor, valid: Tensor, predicted: list[tuple[Tensor, Tensor]]
    ) -> dict[str, Tensor]:
        """The discriminator's losses: half on predictions, half on true masks."""
        terms: dict[str, Tensor] = {}
        shares: list[Tensor] = []
        for name, maps in (('predicted', predicted), ('true', [(truth, valid)])):
            logits = torch.cat([self._judge(shown.detach()).flatten() for shown, _ in maps])
            counted = torch.cat([some.flatten() for _, some in maps])
            true = name == 'true'
            terms[f'{_OF_DISCRIMINATOR}loss_{name}'] = judged_loss(logits, counted, true=true) / 2
            shares.append(judged_right(logits.detach(), counted, true=true))
        terms[f'{_OF_DISCRIMINATOR}accuracy'] = torch.stack(shares).mean()
        return terms

    def _judge(self, shown_NKHW: Tensor) -> Tensor:
        with self._context('discriminator'):
            return self.discriminator(shown_NKHW)

    # --- unlabelled images ------------------------------------------------------------------------

    def _looks(self) -> bool:
        """Whether unlabelled images have a weight at this point of the training."""
        return bool(self.weights['unlabelled_weight'] or self._self_weight())

    def _self_weight(self) -> float:
        return self.weights['self_weight'] if self.progress >= self.self_start else 0.0

    def _unlabelled_loss(
        self, images: Unlabelled
    ) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
        """Losses of unlabelled images, and what the discriminator is to see of them."""
        with self._context('segmentor'):
            logits = logits_of(self.segmentor, images.weak)
        valid = ~images.ignore
        shown = _shown(logits.float().softmax(1), valid)
        judged = self._judge_fixed(shown)
        terms = self._fooled(judged, valid, 'unlabelled_weight')
        sure = judged.detach().float().sigmoid() > self.self_threshold
        accepted = sure & valid
        terms['semi.loss_self'] = self._self_weight() * self_label_loss(logits, accepted)
        found = quality_of(highest(logits, 1), accepted, images, logits.shape[1])
        terms.update({f'semi.{name}': value for name, value in found.items()})
        return terms, (shown, valid)


def _build_discriminator(config: dict, classes: int) -> nn.Module:
    if config.get('in_channels', classes) != classes:
        raise ValueError(
            f'discriminator.in_channels={config["in_channels"]} is not the number of classes, '
            f'{classes}: leave it out'
        )
    with torch.random.fork_rng(devices=[]):  # so that the segmentor begins as the plain one does
        return MODELS.build(dict(config, in_channels=classes))


def _shown(prob_NKHW: Tensor, valid_NHW: Tensor) -> Tensor:
    """Predictions as the discriminator sees them: without ignored pixels, as true masks are."""
    return prob_NKHW * valid_NHW.unsqueeze(1)


def _check_numbers(weights: dict[str, float], **shares: float) -> None:
    for name, value in {**weights, **shares}.items():
        check_number(name, value)
    for name, value in weights.items():
        if value < 0:
            raise ValueError(f'{name} must not be negative, got {value}')
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise ValueError(f'{name} must lie in [0, 1], got {value}')
