"""BF by hand and against a loop over all pairs of outline pixels."""

import math

import numpy as np
import pytest
import torch
from mmseg.registry import METRICS

from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.options import use_output
from mmseg_ext.evaluation.boundary_f1_metric import boundary_f1, outline
from mmseg_ext.evaluation.intervals import logit_interval


def halves(column, size=(6, 10)):
    """Class 0 left of a column, class 1 from it on."""
    label = np.zeros(size, np.int64)
    label[:, column:] = 1
    return label


def test_outline_by_hand():
    mask = np.array(
        [[c == '#' for c in row] for row in ('.....', '.###.', '.###.', '.###.', '##...')]
    )
    valid = np.ones((5, 5), bool)
    assert outline(mask, valid).astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 1, 0, 1, 0],
        [0, 1, 1, 1, 0],
        [1, 1, 0, 0, 0],
    ]
    valid[0] = False  # no label above: the top row of the square is an outline at its sides only
    assert outline(mask, valid)[1].tolist() == [False, True, False, True, False]
    assert not outline(np.ones((5, 5), bool), valid).any()  # the border of the image is none


def test_an_edge_moved_by_columns():
    label = halves(4)
    diagonal = math.hypot(6, 10)
    for moved in (0, 1, 2, 3):
        reach = (moved + 0.5) / diagonal
        found = boundary_f1(halves(4 + moved), label, 2, tolerance=reach)
        assert found.tolist() == [1, 1]
        if moved:
            found = boundary_f1(halves(4 + moved), label, 2, tolerance=reach - 1 / diagonal)
            assert found.tolist() == [0, 0]


def test_a_part_by_hand():
    """Prediction: class 1 fills columns 4 on, but in rows 0 and 1 from column 7 on."""
    label, pred = halves(4), halves(4)
    pred[:2, 4:7] = 0
    # class 1, tolerance 1 pixel: the truth's outline is column 4, rows 0-5; the prediction's is
    # column 7 in rows 0, 1 and, in row 2, columns 4, 5, 6; column 4 in rows 3-5: 8 pixels.
    # Of the prediction (2, 4), (2, 5) and (3..5, 4) are near: 5 of 8; of the truth rows 1-5 (row 1
    # by (2, 4)), not row 0: 5 of 6.
    precision, recall = 5 / 8, 5 / 6
    expected = 2 * precision * recall / (precision + recall)
    found = boundary_f1(pred, label, 2, tolerance=1 / math.hypot(6, 10))
    assert found[1] == pytest.approx(expected, rel=1e-12)


def edges(label, k, ignored=255):
    points = []
    height, width = label.shape
    for i in range(height):
        for j in range(width):
            near = [(i + a, j + b) for a, b in ((0, 1), (0, -1), (1, 0), (-1, 0))]
            near = [label[p] for p in near if 0 <= p[0] < height and 0 <= p[1] < width]
            if label[i, j] == k and any(n not in (k, ignored) for n in near):
                points.append((i, j))
    return points


def by_pairs(pred, label, k, reach):
    pred = np.where(label == 255, 255, pred)
    guess, truth = edges(pred, k), edges(label, k)
    if not guess and not truth:
        return math.nan
    if not guess or not truth:
        return 0.0
    precision = np.mean([min(math.dist(p, q) for q in truth) <= reach for p in guess])
    recall = np.mean([min(math.dist(p, q) for q in guess) <= reach for p in truth])
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize('seed', range(6))
def test_against_all_pairs_of_pixels(seed):
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 4, (2, 6, 7))
    pred, label = coarse.repeat(3, 1).repeat(3, 2)
    pred, label = pred.copy(), label.copy()
    pred[random.random(pred.shape) < 0.05] = 3
    label[random.random(label.shape) < 0.1] = 255
    label[5:9, 4:8] = 255
    reach = (1.0, math.sqrt(2), 2.2)[seed % 3]  # sqrt(2) itself counts
    found = boundary_f1(pred, label, 5, tolerance=reach / math.hypot(*label.shape))
    expected = [by_pairs(pred, label, k, reach + 1e-9) for k in range(5)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert math.isnan(found[4]) and 0 < np.nanmean(found) < 1


def test_empty_and_whole():
    label = halves(4)
    one = np.zeros_like(label)
    assert boundary_f1(one, label, 2).tolist() == [0, 0]
    found = boundary_f1(one, one, 3)
    assert np.isnan(found).all()
    assert np.isnan(boundary_f1(label, np.full_like(label, 255), 2)).all()
    assert boundary_f1(label, label, 2).tolist() == [1, 1]


def test_the_tolerance_at_480x360_is_4_and_a_half_pixels():
    label = halves(240, (360, 480))
    assert boundary_f1(halves(244, (360, 480)), label, 2).tolist() == [1, 1]
    assert boundary_f1(halves(245, (360, 480)), label, 2).tolist() == [0, 0]


def sample(pred, label, name='a'):
    return dict(
        pred_sem_seg=dict(data=torch.as_tensor(pred)[None]),
        gt_sem_seg=dict(data=torch.as_tensor(label)[None]),
        img_path=f'/data/{name}.png',
    )


def build(classes=('sky', 'road', 'car'), **settings):
    metric = METRICS.build(dict(type='BoundaryF1Metric', **settings))
    metric.dataset_meta = dict(classes=classes)
    return metric


def test_the_metric_averages_classes_then_images():
    label, pred = halves(4), halves(4)
    label[2:4, 8:] = 2  # a car that is not found
    metric = build(tolerance=0.0)
    metric.process(None, [sample(pred, label)])
    metric.process(None, [sample(halves(4), halves(4)), sample(halves(5), halves(4))])
    scores = metric.evaluate(3)
    # image 1: sky 1; road: its 6 pixels of column 4 are all that is predicted, the truth also has
    # those around the car: (1, 8), (1, 9), (2, 7), (3, 7), (4, 8), (4, 9); car 0
    road = 2 * 1 * 0.5 / 1.5
    assert scores['BF'] == pytest.approx(100 * ((1 + road + 0) / 3 + 1 + 0) / 3)
    assert scores['BF.sky'] == pytest.approx(100 * 2 / 3)
    assert scores['BF.road'] == pytest.approx(100 * (road + 1) / 3)
    assert scores['BF.car'] == 0
    images = np.array([(1 + road + 0) / 3, 1, 0])
    error = images.std(ddof=1) / math.sqrt(3)
    assert metric.intervals['BF'] == pytest.approx(logit_interval(images.mean(), error, 3))
    assert metric.intervals['BF.car'] == (None, None)  # of one image


def test_the_data_sets_ignored_label():
    metric = build(tolerance=0.0)
    metric.dataset_meta['ignore_index'] = 2
    label = halves(4)
    label[:, 3:5] = 2  # the edge has no label
    metric.process(None, [sample(halves(4), label)])
    assert math.isnan(metric.evaluate(1)['BF'])


def test_beside_other_metrics(tiny_config):
    cfg = load_config(tiny_config)
    cfg.test_evaluator = [dict(type='SegMetric'), dict(type='BoundaryF1Metric')]
    use_output(cfg, 'masks')
    assert cfg.test_evaluator[0].output_dir == 'masks'
    assert cfg.test_evaluator[1] == dict(type='BoundaryF1Metric')


def test_mistakes():
    with pytest.raises(ValueError, match='must not be below 0: -0.1'):
        build(tolerance=-0.1)
    with pytest.raises(ValueError, match=r'/data/a\.png: .*sizes differ'):
        build().process(None, [sample(halves(4), halves(4, (3, 3)))])
    with pytest.raises(ValueError, match='needs the class names'):
        build(classes=()).process(None, [sample(halves(4), halves(4))])
    with pytest.raises(ValueError, match='got no image'):
        build().compute_metrics([])
