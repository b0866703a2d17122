"""Segmentor that averages passes with dropout at test time and reports their uncertainty.

Source: "Bayesian SegNet", BMVC 2017, https://arxiv.org/abs/1511.02680, section 3: the prediction is
the class with the largest mean softmax over the passes. The uncertainty is the variance of the
softmax over the passes, averaged over classes.
Differs from it: nothing. Any model with dropout will do; mmseg's heads have it.
Shape letters: N image, K class, H row, W column.
"""

from typing import Any, Optional

import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from .passes import dropout_on, dropouts, plain_metas


@MODELS.register_module()
class MonteCarloEncoderDecoder(EncoderDecoder):
    """``EncoderDecoder`` whose predictions are means over several passes with dropout.

    Every result also has ``uncertainty``, ``(1, H, W)``: the variance of the probabilities over the
    passes, averaged over classes, in [0, 0.25]. ``seg_logits`` holds the mean probabilities.
    Dropout uses torch's random generator, so ``--seed`` makes it reproducible.

    Args:
        num_passes: Forward passes per image; the authors take 4 for SegNet and 8 for SegNet-Basic.
            With 1 pass the variance is 0.
        kwargs: Arguments of ``EncoderDecoder``.

    Raises:
        ValueError: If ``num_passes`` is below 1, the model has no dropout with a probability above
            0, or it has one output channel for two classes.
    """

    out_channels: int

    def __init__(self, *, num_passes: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_passes < 1:
            raise ValueError(f'num_passes must be 1 or more, got {num_passes}')
        if not dropouts(self):
            raise ValueError(
                'MonteCarloEncoderDecoder needs dropout, and this model has none: set bayesian of '
                "SegNet to 'center' or 'all', or dropout_ratio of the head above 0"
            )
        if self.out_channels == 1:
            raise ValueError('MonteCarloEncoderDecoder needs one output channel per class, got 1')
        self.num_passes = num_passes

    def predict(
        self, inputs: Tensor, data_samples: Optional[list[SegDataSample]] = None
    ) -> list[SegDataSample]:
        """Predict the mean over the passes.

        Args:
            inputs: Images ``(N, C, H, W)``.
            data_samples: One per image; their ``ori_shape`` is the size of the results.
        """
        mean_NKHW, variance_N1HW = self.monte_carlo(inputs, data_samples)
        # Two channels, because mmseg would apply a sigmoid to a single one.
        pair_N2HW = variance_N1HW.expand(-1, 2, -1, -1)
        copies = data_samples and [SegDataSample(metainfo=s.metainfo) for s in data_samples]
        uncertain = self.postprocess_result(pair_N2HW, copies)
        results = self.postprocess_result(mean_NKHW, data_samples)
        for result, one in zip(results, uncertain):
            result.uncertainty = PixelData(data=one.seg_logits.data[:1])
        return results

    def monte_carlo(
        self, inputs: Tensor, data_samples: Optional[list[SegDataSample]] = None
    ) -> tuple[Tensor, Tensor]:
        """Run the passes.

        Returns:
            Mean probabilities ``(N, K, H, W)`` and their variance, averaged over classes, ``(N, 1,
            H, W)``, at the network's size.
        """
        metas = [dict(sample.metainfo) for sample in data_samples or ()] or plain_metas(inputs)
        mean = squares = torch.zeros((), device=inputs.device)
        with dropout_on(self):
            for index in range(self.num_passes):
                prob = self.inference(inputs, [dict(meta) for meta in metas]).float().softmax(1)
                # Welford's update, as a difference of squared means would lose small variances by
                # rounding.
                before, mean = mean, mean + (prob - mean) / (index + 1)
                squares = squares + (prob - before) * (prob - mean)
        return mean, squares.mean(1, keepdim=True) / self.num_passes
