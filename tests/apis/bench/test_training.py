"""The benchmark of a training: mmseg's form is mmseg's, and what is printed is what was timed."""

import pytest

from mmseg_ext.apis.bench import timing, training
from mmseg_ext.apis.bench.words import lines_of


def test_steps_and_losses_of_both_forms(tiny_config):
    shared = dict(repeats=1, configs=[str(tiny_config)], size=32, batch=2)
    exact, half, loader, _ = timing.run('training', count=2, **shared)['cases']
    for case in (exact, half):
        assert case['rate'] == pytest.approx(2000 / case['ours_ms'])
        assert case['ratio'] == pytest.approx(case['reference_ms'] / case['ours_ms'])
    assert 'exact' in exact['case'] and 'bfloat16' in half['case']
    assert loader['reference_ms'] == exact['ours_ms']
    assert any('images a second' in line for line in lines_of(exact))
    exact, half = timing.run('losses', count=4, **shared)['cases']
    assert exact['mean_difference'] < 1e-4 * exact['loss']
    assert half['mean_difference'] < 0.05 * half['loss']


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
