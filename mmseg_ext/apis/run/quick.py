"""Run a trained model for less: in its fast form, in half precision, or without full logits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

from mmengine.model import is_model_wrapper
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from ...core.heap import keep_freed_memory_of
from ...models.segmentors.label_only import can_give_labels_alone, predict_labels
from .network.fast import fast_form


@contextmanager
def quick(
    model: Any, *, fast: bool = False, amp: bool = False, labels: bool = False
) -> Iterator[bool]:
    """Let the predictions of a model cost less for a while.

    On a CPU the process keeps the memory of freed tensors from then on, see
    :func:`.keep_freed_memory`. The weights may still change until the first prediction, as a test
    loads them late.

    Args:
        model: A segmentor, or one in test-time augmentation or in a wrapper such as
            ``DistributedDataParallel``.
        fast: Use :func:`fast_form`, whose outputs are the same up to rounding.
        amp: Use it in half precision.
        labels: Give ``pred_sem_seg`` and no ``seg_logits``, where the model can; the labels are the
            same up to ties of rounding.

    Yields:
        Whether the results lack ``seg_logits``.

    Raises:
        ValueError: With ``fast`` or ``amp``, at the first prediction, if the model has no such
            form.
    """
    inner = model.module if is_model_wrapper(model) else model
    keep_freed_memory_of(inner)
    alone = labels and can_give_labels_alone(inner)
    segmentor = _segmentor(inner) if fast or amp else inner
    if not (fast or amp or alone):
        yield False
        return
    segmentor.predict = _Predict(segmentor, fast or amp, amp, alone)
    try:
        yield alone
    finally:
        del segmentor.predict


def _segmentor(model: Any) -> Any:
    found = getattr(model, 'module', model)  # of test-time augmentation
    if not isinstance(found, EncoderDecoder):
        raise ValueError(f'{type(found).__name__} has no fast form: leave out --fast and --amp')
    return found


class _Predict:
    """The method ``predict`` of a segmentor, in another form."""

    def __init__(self, segmentor: Any, fast: bool, amp: bool, alone: bool) -> None:
        self.segmentor, self.fast, self.amp, self.alone = segmentor, fast, amp, alone
        self.network: Any = None

    def __call__(
        self, inputs: Tensor, data_samples: Optional[list[SegDataSample]] = None
    ) -> list[SegDataSample]:
        if self.network is None:
            self.network = self._built()
        if self.alone and data_samples is not None:
            return predict_labels(self.network, inputs, data_samples)
        return type(self.network).predict(self.network, inputs, data_samples)

    def _built(self) -> Any:
        if not self.fast:
            return self.segmentor
        del self.segmentor.predict  # which the copy would have, too
        try:
            return fast_form(self.segmentor, amp=self.amp)
        finally:
            self.segmentor.predict = self
