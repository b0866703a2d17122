"""Curves reach TensorBoard, W&B and MLflow; a missing package is one line before anything runs."""

import sys
from pathlib import Path

import pytest

from mmseg_ext.apis.run import training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.tracking import TRACKERS, use_tracker


@pytest.mark.parametrize('name', TRACKERS)
def test_a_missing_package_is_one_line(tiny_config, tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, TRACKERS[name].module, None)
    cfg = load_config(tiny_config, work_dir=tmp_path / 'run')
    message = rf'^--log-to {name} needs {name} \(.*\): pip install {TRACKERS[name].package}$'
    with pytest.raises(ImportError, match=message):
        use_tracker(cfg, name)
    assert not (tmp_path / 'run').exists()


def _tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (path,) = folder.glob('*/vis_data/events.out.*')
    events = EventAccumulator(str(path.parent)).Reload()
    return [event.step for event in events.Scalars('loss')], len(events.Scalars('mIoU'))


def _mlflow(folder):
    (losses,) = folder.glob('*/vis_data/*/*/metrics/loss')
    steps = [int(line.split()[2]) for line in losses.read_text().splitlines()]
    return steps, len(losses.with_name('mIoU').read_text().splitlines())


@pytest.mark.parametrize(('name', 'read'), [('tensorboard', _tensorboard), ('mlflow', _mlflow)])
def test_curves_are_written(tiny_config, tmp_path, monkeypatch, name, read):
    pytest.importorskip(TRACKERS[name].module)
    cfg = load_config(tiny_config, work_dir=tmp_path)
    cfg.train_cfg.max_iters = 3
    use_tracker(cfg, name)
    training.train(cfg)
    assert read(tmp_path) == ([1, 2, 3], 1)


def test_wandb_stays_offline(tiny_config, tmp_path, monkeypatch):
    monkeypatch.delenv('WANDB_MODE', raising=False)
    pytest.importorskip('wandb')
    cfg = load_config(tiny_config, work_dir=tmp_path)
    cfg.train_cfg.max_iters = 2
    use_tracker(cfg, 'wandb')
    training.train(cfg)
    (record,) = Path(tmp_path).glob('*/vis_data/wandb/offline-run-*/*.wandb')
    assert record.stat().st_size > 0
