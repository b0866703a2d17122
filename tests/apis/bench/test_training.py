"""The benchmark of a training: mmseg's form is mmseg's, and what is printed is what was timed."""

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from scipy import stats

from mmseg_ext.apis.bench import timing, training
from mmseg_ext.apis.bench.words import lines_of


@pytest.mark.usefixtures('half')
def test_steps_and_losses_of_both_forms(tiny_config, monkeypatch):
    monkeypatch.setattr(training, '_train_apart', training._train_here)
    shared = dict(repeats=1, configs=[str(tiny_config)], size=32, batch=2)
    exact, half, loader, _ = timing.run('training', count=2, **shared)['cases']
    for case in (exact, half):
        assert case['rate'] == pytest.approx(2000 / case['ours_ms'])
        assert case['ratio'] == pytest.approx(case['reference_ms'] / case['ours_ms'])
    assert 'exact' in exact['case'] and 'bfloat16' in half['case']
    assert loader['reference_ms'] == exact['ours_ms']
    assert any('images a second' in line for line in lines_of(exact))


def test_a_process_of_its_own_trains_the_same(tiny_config, tmp_path):
    cfg = training._config(str(tiny_config), None, tmp_path, 32, 2, 1)
    apart, here = (run(cfg, stock=False) for run in (training._train_apart, training._train_here))
    assert len(apart.losses) == len(apart.times) == training._WARM + 1
    assert apart.losses == here.losses


def test_a_loader_is_timed_where_nothing_was_trained(tiny_config, tmp_path):
    cfg = training._config(str(tiny_config), None, tmp_path, 32, 2, 1)
    DefaultScope.get_instance('of_a_new_process', scope_name='mmengine')
    assert training._load(cfg) > 0


@pytest.mark.usefixtures('half')
def test_losses_of_seeds_are_compared_in_pairs(tiny_config):
    shared = dict(repeats=2, configs=[str(tiny_config)], size=32, batch=2)
    cases = timing.run('losses', count=4, **shared)['cases']
    again, exact, half = cases
    assert exact['mean_difference'] < 1e-4 * exact['loss']
    assert exact['mean_difference'] < half['mean_difference'] < 0.05 * half['loss']
    assert again['mean_difference'] == again['noise'] == half['noise']
    first, second = exact['reference_losses']
    assert abs(first - second) > 100 * abs(exact['difference'])  # another seed is another training
    for case in cases:
        apart = np.subtract(case['losses'], case['reference_losses'])
        assert case['difference'] == pytest.approx(apart.mean(), abs=1e-12)
        assert case['difference_interval'] == [None, None]  # two seeds are too few
        assert case['loss'] == pytest.approx(sum(case['losses']) / 2)
        assert any('no interval' in line for line in lines_of(case))


def test_the_interval_of_pairs_is_that_of_a_paired_test():
    random = np.random.default_rng(0)
    ours, theirs = random.normal(size=(2, 5))
    found = training._paired(ours, theirs)
    known = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert found['difference_interval'] == pytest.approx([known.low, known.high])
    assert found['losses'] == ours.tolist()
    quarters = training._ends(np.arange(16.0).reshape(2, 8))
    assert quarters.tolist() == [6.5, 14.5]


def test_mmsegs_form_has_nothing_of_ours(tmp_path):
    made = training._make(tmp_path)
    path = str(training.configs_folder() / training._DEFAULT)
    ours = training._config(path, str(made), tmp_path, 64, 2, 3)
    stock = training._stock(ours)
    steps = [step['type'] for step in stock.train_dataloader.dataset.pipeline]
    assert steps[:2] == ['mmcv.LoadImageFromFile', 'LoadAnnotations'] and len(steps) > 4
    assert ours.train_dataloader.dataset.pipeline[1]['type'] == 'LoadLabels'
    assert ours.custom_hooks and not stock.custom_hooks
    assert ours.model.decode_head.mix_first and not stock.model.decode_head.mix_first
    assert 'progress' in ours.default_hooks and 'progress' not in stock.default_hooks
    assert stock.optim_wrapper == ours.optim_wrapper
    assert len(list((tmp_path / 'masks').iterdir())) == training._IMAGES
