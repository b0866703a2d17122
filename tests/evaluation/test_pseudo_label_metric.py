"""Coverage and precision of pseudo labels: by hand, over images, and against plain loops."""

import math

import pytest
import torch
from mmseg.registry import METRICS

from mmseg_ext.evaluation.pseudo_label_metric import count_pseudo_labels

# Two classes, 2x3 pixels:
#   pixel   probability  guess  label
#   (0, 0)  0.75         0      0      right
#   (0, 1)  0.625        1      0      wrong
#   (0, 2)  1.0          1      1      right
#   (1, 0)  0.875        0      1      wrong
#   (1, 1)  0.9375       0      255    not counted
#   (1, 2)  0.5          0      0      right
FIRST = torch.tensor([[0.75, 0.375, 0.0], [0.875, 0.9375, 0.5]])
PROB = torch.stack([FIRST, 1 - FIRST])
LABEL = torch.tensor([[0, 0, 1], [1, 255, 0]])


def sample(prob, label, **meta):
    return dict(seg_logits=dict(data=prob), gt_sem_seg=dict(data=label[None]), **meta)


def metric(**settings):
    built = METRICS.build(dict(type='PseudoLabelMetric', **settings))
    built.dataset_meta = dict(classes=('a', 'b'))
    return built


@pytest.mark.parametrize('threshold, taken, right', [
    (0.0, 5, 3), (0.625, 4, 2), (0.7, 3, 2), (0.75, 3, 2), (0.9, 1, 1), (1.0, 1, 1),
])  # fmt: skip
def test_counts_by_hand(threshold, taken, right):
    assert count_pseudo_labels(PROB, LABEL, threshold=threshold) == (5, taken, right)


def test_images_are_added_up_pixel_by_pixel():
    """A second image of two pixels, both sure and one wrong: 3 + 2 of 5 + 2 pixels, 2 + 1 right."""
    found = metric(threshold=0.7)
    second = torch.tensor([[[0.8, 0.9]], [[0.2, 0.1]]])
    found.process(None, [sample(PROB, LABEL), sample(second, torch.tensor([[0, 1]]))])
    scores = found.evaluate(2)
    assert scores == pytest.approx({'pseudo/coverage': 500 / 7, 'pseudo/precision': 300 / 5})


def test_logits_threshold_of_the_segmentor_and_an_ignored_label_of_the_data():
    """Against a loop over pixels; 8 classes, of which none is called 255."""
    torch.manual_seed(0)
    logits, label = 3 * torch.randn(8, 9, 11), torch.randint(0, 9, (9, 11))
    counted = taken = right = 0
    for row in range(9):
        for column in range(11):
            scores = [math.exp(value) for value in logits[:, row, column].tolist()]
            if label[row, column] == 8:
                continue
            counted += 1
            if max(scores) / sum(scores) >= 0.6:
                taken += 1
                right += scores.index(max(scores)) == label[row, column]
    assert 0 < right < taken < counted < 99
    found = metric()
    found.dataset_meta = dict(classes=tuple('abcdefgh'), ignore_index=8)
    found.process(None, [sample(logits, label, pseudo_threshold=0.6)])
    scores = found.evaluate(1)
    assert scores['pseudo/coverage'] == pytest.approx(100 * taken / counted)
    assert scores['pseudo/precision'] == pytest.approx(100 * right / taken)


def test_no_pseudo_label_has_no_precision():
    found = metric(threshold=0.99)
    found.process(None, [sample(PROB[..., :2], LABEL[:, :2])])
    scores = found.evaluate(1)
    assert scores['pseudo/coverage'] == 0 and math.isnan(scores['pseudo/precision'])


def test_mistakes_name_the_image():
    with pytest.raises(ValueError, match=r'threshold must lie in \[0, 1\], got 95'):
        metric(threshold=95)
    for given, words in (
        (sample(PROB, LABEL), 'knows no threshold'),
        (sample(PROB, LABEL[:1], pseudo_threshold=0.5), 'differ in size'),
        (dict(pseudo_threshold=0.5), 'needs seg_logits'),
    ):
        with pytest.raises(ValueError, match=f'some/image.png: .*{words}'):
            metric().process(None, [dict(given, img_path='some/image.png')])
