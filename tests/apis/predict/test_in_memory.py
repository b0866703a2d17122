"""Predictor: equal to the tool's function, from a folder, a config or a model."""

import numpy as np
import pytest

import mmseg_ext
from mmseg_ext import apis
from mmseg_ext.apis.predict.predictor import Failure, predict


@pytest.fixture(scope='module')
def checkpoint(tiny_config, random_weights, tmp_path_factory):
    return random_weights(tiny_config, tmp_path_factory.mktemp('weights') / 'a.pth')


def test_it_predicts_what_the_tool_predicts(tiny_config, tiny_data, checkpoint, tmp_path):
    predictor = apis.Predictor(tiny_config, checkpoint, device='cpu')
    assert predictor.classes == ['sky', 'tree', 'road']
    image = tiny_data / 'img' / '1.png'
    (expected,) = predict(predictor.model, [image], keep_prob=True)
    one = predictor(image, keep_prob=True)
    assert np.array_equal(one.label, expected.label) and one.prob.shape == (3, 40, 40)
    assert np.array_equal(one.prob, expected.prob)
    again = apis.Predictor(predictor.model)([str(image), tmp_path / 'gone.png'])
    assert np.array_equal(again[0].label, expected.label) and again[0].prob is None
    assert isinstance(again[1], Failure) and 'gone.png' in again[1].reason


def test_what_it_cannot_do_is_said(tiny_config, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match='no checkpoint .* give a checkpoint after .*tiny'):
        apis.Predictor(tiny_config)
    with pytest.raises(AttributeError, match='no attribute'):
        mmseg_ext.Predicter  # noqa: B018
    broken = tmp_path / 'broken.png'
    broken.write_bytes(b'no picture')
    with pytest.raises(ValueError, match='broken.png'):
        apis.Predictor(tiny_config, checkpoint, device='cpu')(broken)


def test_a_tested_run_is_a_model(tiny_config, tiny_data, tmp_path):
    cfg = apis.load_config(tiny_config, work_dir=tmp_path / 'run', options=dict(max_iters=2))
    apis.train(cfg)
    apis.test(apis.load_config(tiny_config, work_dir=tmp_path / 'run'))
    label = mmseg_ext.Predictor(tmp_path / 'run')(tiny_data / 'img' / '0.png').label
    assert label.shape == (40, 40)
