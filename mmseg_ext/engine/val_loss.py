"""Validation loss in addition to the metrics.

Source: our own; the reference repositories of FMSI-DeepLab select their best weights by it.
Differs from them: it is computed at the resolution of each image, after cropping letterbox bars,
and weighted by pixels instead of batches.

Definition: val_loss = sum_i n_i L_i / sum_i n_i over the images i, where n_i is the number of
pixels that are not ignored, and L_i the sum of the decode head's configured loss terms on the final
logits of image i alone. Where L_i is a mean over valid pixels (``avg_non_ignore=True``) this is
exactly the mean over all valid pixels of the data set. Auxiliary heads are left out. One forward
pass gives both prediction and loss.
Shape letters: K class, H row, W column.
"""

from itertools import zip_longest
from typing import Any, Optional

import torch
from mmengine.dist import all_gather_object
from mmengine.runner import ValLoop, autocast
from mmseg.registry import LOOPS
from torch import Tensor, nn

from ..core.probabilities import as_logits
from .distributed import unwrapped

Record = tuple[int, dict[str, float]]


def image_losses(head: Any, scores_KHW: Tensor, label_HW: Tensor) -> Record:
    """Apply the head's loss terms to one image.

    Args:
        head: mmseg decode head with ``loss_decode`` and ``ignore_index``.
        scores_KHW: Final logits at the resolution of the label.
        label_HW: Class ids.

    Returns:
        The number of pixels that are not ignored, and the value of each term by name.
    """
    terms = head.loss_decode
    label_1HW = label_HW.to(scores_KHW.device).long().unsqueeze(0)
    logits_1KHW = as_logits(scores_KHW).unsqueeze(0)
    values: dict[str, float] = {}
    several: Any = terms if isinstance(terms, nn.ModuleList) else [terms]
    for term in several:
        value = float(term(logits_1KHW, label_1HW, ignore_index=head.ignore_index))
        values[term.loss_name] = values.get(term.loss_name, 0.0) + value
    return int((label_1HW != head.ignore_index).sum()), values


def mean_losses(records: list[Record]) -> dict[str, float]:
    """Average over images, weighted by their valid pixels.

    Args:
        records: Results of :func:`image_losses`.

    Returns:
        ``val_loss`` and, if there are several terms, each as ``val_<name>``; NaN without pixels.
    """
    records = [record for record in records if record[0] > 0]
    if not records:
        return dict(val_loss=float('nan'))
    pixels = sum(count for count, _ in records)
    names = records[0][1]
    terms = {
        f'val_{name}': sum(count * values[name] for count, values in records) / pixels
        for name in names
    }
    total = sum(terms.values())
    return dict(val_loss=total, **(terms if len(terms) > 1 else {}))


@LOOPS.register_module()
class ValLossLoop(ValLoop):
    """mmengine's validation loop that also reports ``val_loss``.

    ``default_hooks=dict(checkpoint=dict(save_best='val_loss', rule='less'))`` then keeps the
    weights of the lowest loss. Same arguments as mmengine's ``ValLoop``.
    """

    def run(self) -> dict:
        """Run the validation.

        Returns:
            The evaluator's metrics, ``val_loss`` and, if there are several, its terms.
        """
        self.runner.call_hook('before_val')
        self.runner.call_hook('before_val_epoch')
        self.runner.model.eval()
        self._records: list[Record] = []
        for index, data_batch in enumerate(self.dataloader):
            self.run_iter(index, data_batch)
        size = len(self.dataloader.dataset)
        metrics = dict(self.evaluator.evaluate(size), **mean_losses(self._gather(size)))
        self.runner.call_hook('after_val_epoch', metrics=metrics)
        self.runner.call_hook('after_val')
        return metrics

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Predict one batch, record its losses, and pass it to the metrics.

        Args:
            idx: Number of the batch.
            data_batch: Batch of the data loader.
        """
        self.runner.call_hook('before_val_iter', batch_idx=idx, data_batch=data_batch)
        with autocast(enabled=self.fp16):
            outputs = self.runner.model.val_step(data_batch)
        head = self._head()
        for sample in outputs:
            if 'gt_sem_seg' not in sample or 'seg_logits' not in sample:
                raise ValueError(
                    f'ValLossLoop needs gt_sem_seg and seg_logits of {sample.get("img_path")}: '
                    'load annotations in the validation pipeline, or use ValLoop'
                )
            label_HW = sample.gt_sem_seg.data.squeeze(0)
            self._records.append(
                image_losses(head, _fit(sample.seg_logits.data, label_HW), label_HW)
            )
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook(
            'after_val_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs
        )

    def _head(self) -> Any:
        model = self.runner.model
        model = unwrapped(model)
        head: Optional[nn.Module] = getattr(model, 'decode_head', None)
        if isinstance(head, nn.ModuleList):  # a cascade predicts with its last head
            head = head[-1]
        if head is None or not hasattr(head, 'loss_decode'):
            raise ValueError(
                f'ValLossLoop needs a decode_head with loss_decode, which {type(model).__name__} '
                "has not: use val_cfg=dict(type='ValLoop')"
            )
        return head

    def _gather(self, size: int) -> list[Record]:
        """Gather the records of all ranks in data set order, without repetitions by the sampler."""
        ranks = all_gather_object(self._records)
        ordered = [record for row in zip_longest(*ranks) for record in row if record is not None]
        return ordered[:size]


def _fit(scores_KHW: Tensor, label_HW: Tensor) -> Tensor:
    """Resize the logits if the pipeline resized the labels; mmseg's own pipelines do not."""
    if scores_KHW.shape[1:] == label_HW.shape:
        return scores_KHW
    size = tuple(label_HW.shape)
    return nn.functional.interpolate(scores_KHW.float()[None], size, mode='bilinear')[0]
