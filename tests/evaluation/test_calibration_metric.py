"""Calibration error: histograms and ECE by hand, the metric in a run, its messages."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import METRICS

from mmseg_ext.apis.run import testing
from mmseg_ext.apis.run.network.build import build
from mmseg_ext.apis.run.options import use_calibration
from mmseg_ext.datasets.groups import write_groups
from mmseg_ext.evaluation.calibration_metric import (
    calibration_error,
    calibration_interval,
    confidence_histogram,
)
from mmseg_ext.evaluation.intervals import logit_interval, score_intervals

# Two classes, 2x3 pixels. By bins of 1/4, upper ends included:
#   pixel   probability  guess  label   bin (0.5, 0.75]    bin (0.75, 1]
#   (0, 0)  0.75         0      0       right
#   (0, 1)  0.625        1      0       wrong
#   (0, 2)  1.0          1      1                          right
#   (1, 0)  0.875        0      1                          wrong
#   (1, 1)  0.9375       0      255     not counted
#   (1, 2)  0.5          0      0       bin (0.25, 0.5]: right
FIRST = [[0.75, 0.375, 0.0], [0.875, 0.9375, 0.5]]
LABEL = [[0, 0, 1], [1, 255, 0]]
COUNT, RIGHT, CONFIDENCE = [0, 1, 2, 2], [0, 1, 1, 1], [0.0, 0.5, 1.375, 1.875]
# |1 - 0.5| + |1 - 1.375| + |1 - 1.875| = 0.5 + 0.375 + 0.875, over 5 pixels
ECE = 1.75 / 5


def _prob():
    first = torch.tensor(FIRST)
    return torch.stack([first, 1 - first])


def _sample(name, logits, label):
    return dict(img_path=name, seg_logits=dict(data=logits), gt_sem_seg=dict(data=label[None]))


def _build(**settings):
    metric = METRICS.build(dict(type='CalibrationMetric', **settings))
    metric.dataset_meta = dict(classes=('a', 'b'))
    return metric


def test_histogram_and_error_by_hand():
    got = confidence_histogram(_prob(), torch.tensor(LABEL), num_bins=4)
    assert got.tolist() == [COUNT, RIGHT, CONFIDENCE]
    assert calibration_error(got) == pytest.approx(ECE, abs=1e-15)
    both = calibration_error(np.stack([got, np.zeros_like(got)]))
    assert both[0] == pytest.approx(ECE) and np.isnan(both[1])


def test_equals_a_loop_over_pixels():
    torch.manual_seed(0)
    prob, label = torch.randn(5, 9, 11).softmax(0), torch.randint(0, 6, (9, 11))
    bins = [[] for _ in range(15)]
    for row in range(9):
        for column in range(11):
            if label[row, column] != 5:
                sure, guess = prob[:, row, column].max(0)
                place = next(m for m in range(15) if sure.item() <= (m + 1) / 15)
                bins[place].append((sure.item(), guess == label[row, column]))
    total = sum(map(len, bins))
    assert 0 < total < 99 and sum(map(bool, bins)) > 5
    expected = sum(
        len(b) / total * abs(np.mean([r for _, r in b]) - np.mean([s for s, _ in b]))
        for b in bins
        if b
    )
    got = confidence_histogram(prob, label, ignore_index=5)
    assert got[0].tolist() == [len(b) for b in bins]
    assert calibration_error(got) == pytest.approx(expected, abs=1e-12)


def test_metric_adds_images_up(tmp_path):
    metric = _build(num_bins=4, per_image_file=str(tmp_path / 'new' / 'cal.npz'))
    for name in ('/d/1.png', '/d/2.png'):  # probabilities are taken as they are
        metric.process(None, [_sample(name, _prob(), torch.tensor(LABEL))])
    report = metric.evaluate(2)
    assert report == dict(ECE=pytest.approx(100 * ECE), confidence=pytest.approx(100 * 3.75 / 5))
    assert metric.calibration['bins']['count'] == [2 * c for c in COUNT]
    assert metric.calibration['bins']['right'] == [2 * c for c in RIGHT]
    assert metric.calibration['accuracy'] == pytest.approx(3 / 5)
    with np.load(tmp_path / 'new' / 'cal.npz') as file:
        assert file['names'].tolist() == ['1.png', '2.png']
        assert file['count'].tolist() == [COUNT, COUNT] and file['right'].dtype == np.int64
        np.testing.assert_allclose(file['confidence'], [CONFIDENCE] * 2, atol=1e-6)


def test_logits_are_made_probabilities():
    torch.manual_seed(0)
    logits, label = 3 * torch.randn(2, 5, 7), torch.randint(0, 2, (5, 7))
    metric = _build()
    metric.process(None, [_sample('x.png', logits, label)])
    metric.evaluate(1)
    expected = confidence_histogram(logits.softmax(0), label)
    assert metric.calibration['bins']['count'] == expected[0].tolist()
    assert metric.calibration['ECE'] == pytest.approx(calibration_error(expected))


def test_a_single_logit_is_two_classes():
    metric = _build(num_bins=2)
    prob = torch.tensor([[[0.75, 0.25]]])  # mmseg hands out the sigmoid
    metric.process(None, [_sample('x.png', prob, torch.tensor([[1, 1]]))])
    metric.evaluate(1)
    assert metric.calibration['bins'] == dict(count=[0, 2], right=[0, 1], confidence=[0.0, 1.5])
    assert metric.calibration['ECE'] == pytest.approx(abs(1 - 1.5) / 2)


def test_without_a_labelled_pixel_it_is_undefined():
    metric = _build(ignore_index=0)
    metric.process(None, [_sample('x.png', _prob(), torch.zeros(2, 3, dtype=torch.long))])
    assert np.isnan(metric.evaluate(1)['ECE']) and metric.calibration['ECE'] is None


def test_messages():
    with pytest.raises(ValueError, match='num_bins must be at least 1, got 0'):
        _build(num_bins=0)
    with pytest.raises(ValueError, match=r'x\.png: CalibrationMetric needs seg_logits'):
        _build().process(None, [dict(img_path='x.png')])
    with pytest.raises(ValueError, match=r'x\.png: probabilities \(2, 2, 3\) and label map'):
        _build().process(None, [_sample('x.png', _prob(), torch.zeros(3, 3, dtype=torch.long))])


def test_a_test_writes_it_into_the_results(tiny_config, tiny_data, tmp_path):
    """A data set with groups, too: they land beside the counts of the images."""
    cfg = Config.fromfile(tiny_config)
    stems = sorted(path.stem for path in (tiny_data / 'img').iterdir())
    assert len(stems) == 6
    patients = {stem: f'patient{index // 2}' for index, stem in enumerate(stems)}
    write_groups(tmp_path / 'groups.csv', patients)
    cfg.test_dataloader.dataset.update(
        type='FolderDataset', group_file=str(tmp_path / 'groups.csv')
    )
    cfg.work_dir, cfg.launcher = str(tmp_path / 'run'), 'none'
    use_calibration(cfg)
    use_calibration(cfg)  # the second time there is one
    assert [metric['type'] for metric in cfg.test_evaluator] == ['SegMetric', 'CalibrationMetric']
    torch.save(dict(state_dict=build(cfg).state_dict(), meta={}), tmp_path / 'start.pth')
    report = testing.test(cfg, tmp_path / 'start.pth')
    results = json.loads((tmp_path / 'run' / 'results.json').read_text())
    assert results['calibration']['ECE'] == pytest.approx(report['ECE'] / 100)
    assert sum(results['calibration']['bins']['count']) == np.sum(results['confusion'])
    assert results['calibration']['accuracy'] == pytest.approx(results['metrics']['aAcc']['value'])
    with np.load(tmp_path / 'run' / 'per_image.npz') as file:
        assert file['groups'].tolist() == [patients[Path(name).stem] for name in file['names']]
        rows = np.stack([file[name] for name in ('tp', 'pred', 'label')], 1)
        groups = file['groups'].tolist()
    assert results['intervals']['unit'] == 'group' and results['intervals']['units'] == 3
    for name, ends in score_intervals(rows, groups=groups).means.items():
        entry = results['metrics'][name]
        assert (entry['low'], entry['high']) == pytest.approx(ends)
    with np.load(tmp_path / 'run' / 'per_image_calibration.npz') as file:
        histograms = np.stack([file[part] for part in ('count', 'right', 'confidence')], 1)
    ends = calibration_interval(histograms, groups)
    assert results['calibration']['ECE_interval'] == pytest.approx(list(ends))


def _histograms(gaps, count=100.0):
    """Histograms ``(N, 3, M)`` of images whose bins have these gaps, in per cent."""
    gaps = np.array(gaps, float)
    return np.stack([np.full_like(gaps, count), 50 + gaps, np.full_like(gaps, 50.0)], 1)


def test_interval_of_sure_signs_is_that_of_a_mean():
    gaps = np.array([[20, -12], [22, -11], [18, -10], [24, -11]])  # of 100 pixels a bin
    values = np.abs(gaps).sum(1) / 200  # of each image: no bin changes its sign
    error = np.std(values, ddof=1) / 2
    expected = logit_interval(values.mean(), error, 4)
    assert calibration_interval(_histograms(gaps)) == pytest.approx(expected, abs=1e-12)
    groups = calibration_interval(_histograms(np.repeat(gaps, 2, 0)), [*'aabbccdd'])
    assert groups == pytest.approx(expected, abs=1e-12)
    assert calibration_interval(_histograms(gaps[:2])) == (None, None)


def test_a_bin_of_either_sign_is_nothing_at_the_lower_end():
    gaps = np.array([[20, 2], [22, -1], [18, 3], [21, -1]])
    low, high = calibration_interval(_histograms(gaps))
    sure = gaps[:, 0] / 200
    expected, _ = logit_interval(sure.mean(), np.std(sure, ddof=1) / 2, 4)
    value = calibration_error(_histograms(gaps).sum(0))
    signed = (gaps[:, 0] + gaps[:, 1]) / 200  # the second bin's sum is positive
    plain = logit_interval(value, np.std(signed, ddof=1) / 2, 4)
    assert low == pytest.approx(expected, abs=1e-12) and low < plain[0]
    assert high == pytest.approx(plain[1])
    low, high = calibration_interval(_histograms(gaps[:, 1:]))
    assert low == 0 and high > 0.02


def test_the_interval_holds_for_a_calibrated_model():
    """Its error is 0, and that of any sample above: the bootstrap's interval never held it."""
    random, held = np.random.default_rng(0), 0
    for _ in range(200):
        gaps = random.normal(0, 10, (8, 1)) + random.normal(0, 5, (8, 6))
        low, high = calibration_interval(_histograms(gaps))
        held += low == 0
    assert held > 180
