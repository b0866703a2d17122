"""CutMix: by hand on 4x4, and its boxes against the source's rule."""

import pytest
import torch

from mmseg_ext.models.layers import cutmix


def test_image_label_confidence_and_ignore_are_mixed_alike_by_hand():
    boxes = torch.zeros(2, 4, 4, dtype=torch.bool)
    boxes[0, 1:3, 2:4] = True
    label = torch.arange(32).reshape(2, 4, 4)
    image = torch.stack([label, -label], 1).float()
    expected = torch.tensor(
        [[0, 1, 2, 3], [4, 5, 22, 23], [8, 9, 26, 27], [12, 13, 14, 15]]
    )  # the other image's numbers are 16 larger
    mixed = cutmix.cut_mix(label, boxes)
    assert torch.equal(mixed[0], expected)
    assert torch.equal(mixed[1], label[1])  # no box
    assert torch.equal(cutmix.cut_mix(image, boxes)[:, 0], mixed.float())
    assert torch.equal(cutmix.cut_mix(image, boxes)[:, 1], -mixed.float())
    ignore = torch.zeros(2, 4, 4, dtype=torch.bool)
    ignore[1, :, 3] = True
    assert cutmix.cut_mix(ignore, boxes)[0].nonzero().tolist() == [[1, 3], [2, 3]]


def test_one_image_is_mixed_with_itself():
    image = torch.rand(1, 3, 4, 4)
    assert torch.equal(cutmix.cut_mix(image, torch.ones(1, 4, 4, dtype=torch.bool)), image)


@pytest.mark.parametrize('size', [(40, 40), (20, 320)])
def test_boxes_lie_within_the_image_and_have_the_area(size):
    torch.manual_seed(0)
    areas = []
    for _ in range(200):
        rows, columns = cutmix.draw_box(size)
        assert 0 <= rows.start <= rows.stop <= size[0]
        assert 0 <= columns.start <= columns.stop <= size[1]
        areas.append((rows.stop - rows.start) * (columns.stop - columns.start))
    share = torch.tensor(areas) / (size[0] * size[1])
    assert share.max() <= 0.4 and share.min() < 0.06 and share.max() > 0.35


def test_the_probability_is_that_of_a_box_and_the_seed_repeats():
    torch.manual_seed(1)
    boxes = cutmix.draw_boxes(400, (8, 8), prob=0.5, area=(0.25, 0.3))
    assert 160 < boxes.flatten(1).any(1).sum() < 240
    torch.manual_seed(1)
    assert torch.equal(boxes, cutmix.draw_boxes(400, (8, 8), prob=0.5, area=(0.25, 0.3)))
    assert not cutmix.draw_boxes(9, (8, 8), prob=0).any()
