"""Softmax first, then cut and resize: against the steps written out with cv2."""

import cv2
import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_ext  # noqa: F401


def test_probabilities_are_cut_and_resized_as_cv2_does():
    init_default_scope('mmseg')
    model = MODELS.build(
        dict(
            type='LetterboxEncoderDecoder',
            backbone=dict(type='XceptionDeepLab', num_middle_blocks=0),
            decode_head=dict(
                type='DeepLabV3PlusHead',
                in_channels=(256, 728, 2048),
                in_index=(0, 1, 2),
                channels=8,
                num_classes=3,
            ),
        )  # fmt: skip
    )
    logits = torch.randn(1, 3, 16, 16) * 3
    sample = SegDataSample(metainfo=dict(ori_shape=(33, 50), padding_size=[0, 0, 3, 2]))
    result = model.postprocess_result(logits, [sample])[0]
    soft = torch.softmax(logits[0], 0).permute(1, 2, 0).numpy()[3:14]
    expected = cv2.resize(soft, (50, 33), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(
        result.seg_logits.data.permute(1, 2, 0), expected, rtol=1e-4, atol=1e-5)  # fmt: skip
    np.testing.assert_array_equal(result.pred_sem_seg.data[0], expected.argmax(-1))
    assert model.align_corners is True  # the decoder keeps its own
