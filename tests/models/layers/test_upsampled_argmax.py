"""Labels straight from small logits equal the arg-max of logits resized by torch."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_ext.models.layers.upsampled_argmax import upsampled_argmax


def smooth(num, classes, size, seed=0):
    """Logits with areas and borders, as of a trained network."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(num, classes, 5, 4, generator=generator)
    fine = F.interpolate(coarse, size=size, mode='bilinear')
    return 5 * fine + 0.1 * torch.randn(num, classes, *size, generator=generator)


def resized(logits, size, align_corners):
    return F.interpolate(
        logits.double(), size=size, mode='bilinear', align_corners=align_corners
    )  # exact: double precision decides ties as the true values do


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(
    'before, after',
    [((16, 16), (64, 64)), ((13, 17), (50, 67)), ((1, 9), (3, 36)), ((9, 1), (1, 4)),
     ((24, 20), (11, 7)), ((8, 8), (8, 8)), ((7, 5), (7, 40))],
)  # fmt: skip
@pytest.mark.parametrize('classes', [2, 21])
def test_labels_equal_those_of_resized_logits(before, after, classes, align_corners):
    logits = smooth(2, classes, before)
    for given in (logits, logits.contiguous(memory_format=torch.channels_last)):
        found = upsampled_argmax(given, after, align_corners=align_corners)
        expected = resized(logits, after, align_corners)
        assert found.shape == (2, *after) and found.dtype == torch.int64
        highest, second = expected.topk(2, 1).values.unbind(1)
        sure = highest - second > 1e-5
        assert sure.float().mean() > 0.999
        assert torch.equal(found[sure], expected.argmax(1)[sure])


def test_noise_has_no_areas_and_is_still_equal():
    logits = torch.randn(1, 5, 30, 41, generator=torch.Generator().manual_seed(1))
    assert torch.equal(
        upsampled_argmax(logits, (333, 300)), resized(logits, (333, 300), False).argmax(1)
    )  # 99,900 pixels: more than are interpolated at once


def test_equal_logits_give_the_first_class_as_arg_max_does():
    logits = torch.zeros(1, 3, 4, 4)
    logits[:, 1:, 2:] = 1
    found = upsampled_argmax(logits, (16, 16))
    assert torch.equal(found, F.interpolate(logits, size=(16, 16), mode='bilinear').argmax(1))
    assert found.unique().tolist() == [0, 1]


def test_half_precision_is_interpolated_in_single_precision():
    logits = smooth(1, 7, (12, 12)).bfloat16()
    expected = F.interpolate(logits.float(), size=(48, 48), mode='bilinear').argmax(1)
    assert (upsampled_argmax(logits, (48, 48)) == expected).float().mean() > 0.999


def test_one_logit_is_refused():
    with pytest.raises(ValueError, match='threshold'):
        upsampled_argmax(torch.zeros(1, 1, 4, 4), (8, 8))
