"""HD95 and surface Dice: by hand, against a loop over all pairs of pixels, and empty masks."""

import math

import numpy as np
import pytest
import torch
from mmseg.registry import METRICS

from mmseg_ext.evaluation.intervals import logit_interval, t_interval
from mmseg_ext.evaluation.surface_metric import surface_scores


def mask_of(*rows):
    return np.array([[cell == '#' for cell in row] for row in rows])


SQUARE = mask_of('......', '.###..', '.###..', '.###..', '......')
SHIFTED = mask_of('......', '..###.', '..###.', '..###.', '......')


def test_a_square_moved_by_one_pixel():
    # Either outline has 8 pixels. Of the square's, the 3 on its left are 1 away from the other
    # outline, and so is the one that lies on the other's centre; the remaining 4 are on it.
    assert surface_scores(SQUARE, SHIFTED) == (1, 1)
    assert surface_scores(SQUARE, SHIFTED, tolerance=0) == (1, 0.5)
    # Pixels of 2 x 3: 4 distances of 0, one of 2 (up or down), three of 3 (sideways).
    assert surface_scores(SQUARE, SHIFTED, spacing=(2, 3), tolerance=2) == (3, 10 / 16)


def test_two_points():
    pred, truth = np.zeros((2, 9, 9), bool)
    pred[1, 1] = truth[4, 5] = True
    assert surface_scores(pred, truth, tolerance=4.9) == (5, 0)
    assert surface_scores(pred, truth, tolerance=5) == (5, 1)
    assert surface_scores(pred, truth, spacing=(3, 3))[0] == 15


def test_the_percentile_lies_between_two_distances():
    truth, pred = np.zeros((2, 12, 9), bool)
    truth[1] = pred[1] = True
    pred[11, 4] = True  # 9 distances of 0 and one of 10; the 95 % are at place 8.55 of 0..9
    for masks in ((pred, truth), (truth, pred)):  # the larger of the two directions
        distance, share = surface_scores(*masks)
        assert distance == pytest.approx(5.5, rel=1e-5)
        assert share == pytest.approx(18 / 19, rel=1e-6)


def test_empty_masks():
    empty, full = np.zeros((4, 5), bool), np.zeros((4, 5), bool)
    full[0, 0] = True
    both = surface_scores(empty, empty)
    assert math.isnan(both[0]) and math.isnan(both[1])
    # from corner to corner 3 rows and 4 columns
    assert surface_scores(full, empty) == surface_scores(empty, full) == (5, 0)
    assert surface_scores(full, empty, spacing=(4, 4)) == (20, 0)
    assert surface_scores(full, full) == (0, 1)


def outline(mask):
    """The pixels with one of four neighbours outside of the mask or of the image."""
    points = []
    for row, column in zip(*np.nonzero(mask)):
        for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            y, x = row + down, column + right
            if not (0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x]):
                points.append((row, column))
                break
    return points


def brute_force(pred, truth, spacing, tolerance):
    a, b = outline(pred), outline(truth)
    there = [min(math.dist(np.multiply(p, spacing), np.multiply(q, spacing)) for q in b) for p in a]
    back = [min(math.dist(np.multiply(p, spacing), np.multiply(q, spacing)) for q in a) for p in b]
    near = sum(distance <= tolerance for distance in there + back)
    return max(_percentile(there), _percentile(back)), near / len(there + back)


def _percentile(values):
    values, place = sorted(values), 0.95 * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


@pytest.mark.parametrize('seed', range(6))
def test_against_all_pairs_of_pixels(seed):
    random = np.random.default_rng(seed)
    share = (0.03, 0.5, 0.9)[seed % 3]  # points, noise, solid with holes; all touch the border
    pred, truth = random.random((2, 13, 17)) < share
    spacing, tolerance = ((1, 1), (0.7, 1.9))[seed % 2], 1.2
    expected = brute_force(pred, truth, spacing, tolerance)
    found = surface_scores(pred, truth, spacing=spacing, tolerance=tolerance)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.filterwarnings('ignore::FutureWarning')  # of MONAI's own calls
@pytest.mark.parametrize('shape', [(1, 9), (2, 3), (61, 83), (130, 97)])
@pytest.mark.parametrize('spacing', [(1.0, 1.0), (0.1, 0.1), (0.7, 1.9)])
def test_equals_monai(shape, spacing):
    monai = pytest.importorskip('monai.metrics')
    random, tolerance = np.random.default_rng(0), 3 * spacing[0]
    coarse = random.random((2, 1 + shape[0] // 7, 1 + shape[1] // 7)) < 0.4
    coarse[:, 0, 0] = True
    masks = [np.kron(one, np.ones((7, 7), bool))[: shape[0], : shape[1]] for one in coarse]
    masks[0] ^= random.random(shape) < 0.02
    masks[0][0, 0] = True
    batch = [torch.from_numpy(mask)[None, None] for mask in masks]
    shared = dict(include_background=True, spacing=list(spacing))
    distance = monai.compute_hausdorff_distance(*batch, percentile=95, **shared)
    share = monai.compute_surface_dice(*batch, class_thresholds=[tolerance], **shared)
    found = surface_scores(*masks, spacing=spacing, tolerance=tolerance)
    assert found == pytest.approx((float(distance), float(share)), rel=1e-6)


def test_a_distance_of_the_tolerance_matches_in_spite_of_rounding():
    pred, truth = np.zeros((2, 5, 5), bool)
    pred[0, 0] = truth[3, 0] = True  # 3 * 0.1 is above 0.3 in float64
    assert surface_scores(pred, truth, spacing=(0.1, 0.1), tolerance=0.3)[1] == 1


def sample(pred, label, name):
    return dict(
        pred_sem_seg=dict(data=torch.as_tensor(pred)[None]),
        gt_sem_seg=dict(data=torch.as_tensor(label)[None]),
        img_path=f'/data/{name}.png',
    )


def build(classes=('background', 'bone'), **settings):
    metric = METRICS.build(dict(type='SurfaceMetric', **settings))
    metric.dataset_meta = dict(classes=classes)
    return metric


def test_the_metric_averages_images_and_writes_them(tmp_path):
    metric = build(per_image_file=str(tmp_path / 'new' / 'surface.npz'))
    none = np.zeros(SQUARE.shape, np.int64)
    metric.process(None, [sample(SQUARE.astype(int), SHIFTED.astype(int), 'a')])
    metric.process(None, [sample(none, none, 'b'), sample(none, SQUARE.astype(int), 'c')])
    diagonal = math.hypot(4, 5)
    scores = metric.evaluate(3)
    assert scores == {'HD95': pytest.approx((1 + diagonal) / 2), 'surface_Dice': 50}
    assert metric.intervals['HD95'] == (None, None)  # two images have a surface
    written = np.load(tmp_path / 'new' / 'surface.npz')
    assert written['names'].tolist() == ['a.png', 'b.png', 'c.png']
    np.testing.assert_allclose(written['hd95'][:, 0], [1, math.nan, diagonal])
    np.testing.assert_array_equal(written['surface_dice'][:, 0], [1, math.nan, 0])
    assert written['classes'].tolist() == ['bone'] and written['tolerance'] == 1
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['surface.npz']


def test_intervals_of_means_over_images():
    metric = build()
    for name, columns in (('a', 0), ('b', 1), ('c', 0), ('d', 2)):
        pred = np.roll(SQUARE, columns, 1)
        metric.process(None, [sample(pred.astype(int), SQUARE.astype(int), name)])
    scores = metric.evaluate(4)
    each = [brute_force(np.roll(SQUARE, c, 1), SQUARE, (1, 1), 1) for c in (0, 1, 0, 2)]
    for place, (name, scale) in enumerate((('HD95', 1), ('surface_Dice', 100))):
        values = np.array([pair[place] for pair in each])
        error = values.std(ddof=1) / 2
        assert scores[name] == pytest.approx(scale * values.mean())
        low, high = metric.intervals[name]
        if name == 'HD95':  # a length: cut at 0
            assert (low, high) == (0, pytest.approx(t_interval(values.mean(), error, 4)[1]))
        else:
            assert (low, high) == pytest.approx(logit_interval(values.mean(), error, 4))


def test_pixels_without_a_label_are_in_no_mask():
    pred, label = SQUARE.astype(int), SHIFTED.astype(int)
    label[:, 1] = 255  # the square's left column, and nothing of the other
    metric = build()
    metric.process(None, [sample(pred, label, 'a')])
    cut = SQUARE.copy()
    cut[:, 1] = False
    distance, share = brute_force(cut, SHIFTED, (1, 1), 1)
    assert metric.evaluate(1) == pytest.approx({'HD95': distance, 'surface_Dice': 100 * share})


def test_several_classes_and_no_background():
    metric = build(classes=('sky', 'tree', 'road'))
    label = np.array([[0, 0, 1, 1]] * 3)
    metric.process(None, [sample(label, label, 'a'), sample(1 - label, label, 'b')])
    scores = metric.evaluate(2)
    # 0 in the first image; in the second 3 pixels are 1 away and 3 are 2: 2 at the 95 %.
    assert scores['HD95.sky'] == scores['HD95.tree'] == scores['HD95'] == 1
    assert math.isnan(scores['HD95.road'])


def test_mistakes():
    with pytest.raises(ValueError, match='two positive numbers'):
        build(spacing=(1, 0))
    with pytest.raises(ValueError, match='tolerance must be 0 or more'):
        build(tolerance=-1)
    with pytest.raises(ValueError, match=r'/data/a\.png: .*differ in size'):
        build().process(None, [sample(SQUARE.astype(int), np.zeros((2, 2), int), 'a')])
