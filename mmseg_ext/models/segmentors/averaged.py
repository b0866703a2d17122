"""Predictions that are means of probabilities: of test-time augmentation, models, or passes.

``AveragedTTAModel`` is mmseg's ``SegTTAModel``.
Differs from it: of a single output channel mmseg takes the sigmoid of what is a probability
already, so that every pixel exceeds the usual threshold; probabilities are averaged here. The
result also has the mean probabilities, where mmseg leaves the logits of the last augmentation.
Shape letters: K class, H row, W column.
"""

from collections.abc import Sequence
from typing import Optional

from mmengine.structures import PixelData
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from ...core.probabilities import as_probabilities
from ..layers.highest import highest


def set_probabilities(
    sample: SegDataSample, prob_KHW: Tensor, threshold: Optional[float] = None
) -> SegDataSample:
    """Make probabilities the prediction of a sample, as a segmentor would have written them.

    Args:
        sample: Changed in place: ``seg_logits`` and ``pred_sem_seg``.
        prob_KHW: Of all classes.
        threshold: Of a model with a single output channel, above which a pixel is foreground.
    """
    scores, label = prob_KHW, highest(prob_KHW, 0).unsqueeze(0)
    if threshold is not None:
        scores, label = prob_KHW[1:], (prob_KHW[1:] > threshold).long()
    sample.set_data(dict(seg_logits=PixelData(data=scores), pred_sem_seg=PixelData(data=label)))
    return sample


@MODELS.register_module()
class AveragedTTAModel(SegTTAModel):
    """Average the probabilities of the flips and scales of test-time augmentation.

    It takes the arguments of mmengine's ``BaseTTAModel``: ``module``, the segmentor, built or as
    its config, and ``data_preprocessor``.
    """

    def merge_preds(
        self, data_samples_list: Sequence[Sequence[SegDataSample]]
    ) -> list[SegDataSample]:
        """Merge the predictions of each image.

        Args:
            data_samples_list: For each image, its augmentations as predicted.

        Returns:
            A sample for each image; ``seg_logits`` holds mean probabilities.
        """
        return [self._merged(samples) for samples in data_samples_list]

    def _merged(self, samples: Sequence[SegDataSample]) -> SegDataSample:
        total = as_probabilities(samples[0].seg_logits.data)
        for sample in samples[1:]:
            total = total + as_probabilities(sample.seg_logits.data)
        threshold = self.module.decode_head.threshold if self.module.out_channels == 1 else None
        merged = samples[-1]
        if 'gt_sem_seg' in samples[0]:  # of the others it may be flipped or resized
            merged.set_data(dict(gt_sem_seg=samples[0].gt_sem_seg))
        return set_probabilities(merged, total / len(samples), threshold)
