"""DetailMetric: sums over images, the positive class, repeated images, models without logits."""

import numpy as np
import pytest
import torch

from mmseg_ext.evaluation import DetailMetric
from mmseg_ext.evaluation.border_bands import band_counts
from mmseg_ext.evaluation.objects import object_counts


def _sample(seed, classes=2, size=(12, 15)):
    random = np.random.default_rng(seed)
    truth = torch.from_numpy(random.integers(0, classes, size))
    truth[0, 0] = 255
    logits = torch.from_numpy(random.normal(size=(classes, *size)))
    pred = logits.argmax(0)
    return dict(
        gt_sem_seg=dict(data=truth[None]),
        pred_sem_seg=dict(data=pred[None]),
        seg_logits=dict(data=logits),
    )


def _metric(classes=('background', 'bone'), **settings):
    metric = DetailMetric(**settings)
    metric.dataset_meta = dict(classes=classes)
    return metric


def test_counts_are_sums_over_images():
    metric, samples = _metric(), [_sample(seed) for seed in range(3)]
    metric.process(None, samples[:2])
    metric.process(None, samples[2:])
    assert metric.evaluate(3) == {}
    maps = [(s['pred_sem_seg']['data'][0].numpy(), s['gt_sem_seg']['data'][0].numpy())
            for s in samples]  # fmt: skip
    expected = sum(object_counts(*pair, 2, ignore_index=255) for pair in maps)
    found = metric.summary(chosen=0.25)
    np.testing.assert_allclose(found['objects']['counts'], expected)
    expected = sum(band_counts(*pair, ignore_index=255) for pair in maps)
    np.testing.assert_array_equal(found['borders']['counts'], expected)
    positives = sum(int((truth == 1).sum()) for _, truth in maps)
    curves = found['thresholds']
    assert curves['positive'] == 'bone' and curves['threshold'] == 0.25
    assert curves['pixels'] == dict(negative=3 * 179 - positives, positive=positives)
    hits = sum(int(((pred == 1) & (truth == 1)).sum()) for pred, truth in maps)
    assert curves['at_half']['recall'] == pytest.approx(hits / positives)


def test_an_image_that_the_sampler_repeats_counts_once():
    metric, once = _metric(), _metric()
    metric.process(None, [_sample(0), _sample(1)])
    once.process(None, [_sample(0)])
    metric.evaluate(1)
    once.evaluate(1)
    assert set(metric.counts) == {'objects', 'borders', 'scores'}
    for name, counts in once.counts.items():
        assert counts.any()
        np.testing.assert_allclose(metric.counts[name], counts, atol=1e-9)


def test_positive_class_and_what_is_left_out():
    assert _metric(('bone', 'background')).positive == 0
    assert _metric(('a', 'b')).positive == 1 and _metric(('a', 'b', 'c')).positive is None
    three = _metric(('a', 'b', 'c'))
    three.process(None, [_sample(0, 3)])
    three.evaluate(1)
    assert set(three.summary()) == {'version', 'classes', 'objects', 'borders'}
    without, sample = _metric(), _sample(0)
    del sample['seg_logits']
    without.process(None, [sample])
    without.evaluate(1)
    assert 'thresholds' not in without.summary()
    only = _metric(curves_only=True)
    only.process(None, [_sample(0)])
    only.evaluate(1)
    assert set(only.summary()) == {'version', 'classes', 'thresholds'}
