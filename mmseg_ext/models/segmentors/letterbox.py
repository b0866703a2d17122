"""Segmentor that turns logits into probabilities before it resizes them.

Source: ``get_miou_png`` of bubbliiiing/deeplabv3-plus-pytorch (90dee27): softmax, crop the
letterbox bars, bilinear resize of the probabilities (cv2, ``align_corners=False``), argmax.
Differs from it: nothing.
"""

from typing import Optional

from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor


@MODELS.register_module()
class LetterboxEncoderDecoder(EncoderDecoder):
    """``EncoderDecoder`` for letterboxed images, with the reference repository's order of steps.

    ``padding_size`` of the data sample, written by ``Letterbox``, gives the bars. ``seg_logits`` of
    the result holds probabilities at the original size.
    """

    align_corners: bool

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: Optional[list[SegDataSample]] = None
    ) -> list[SegDataSample]:
        """Apply softmax, crop the bars, resize, take the argmax.

        Args:
            seg_logits: ``(N, K, H, W)`` at the network's size.
            data_samples: One per image; their ``ori_shape`` is the size of the results.
        """
        kept, self.align_corners = self.align_corners, False
        try:
            return super().postprocess_result(seg_logits.softmax(dim=1), data_samples)
        finally:
            self.align_corners = kept
