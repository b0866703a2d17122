"""A run ends at the validation where it must, counts as finished, and goes on as if not stopped."""

import shutil
from types import SimpleNamespace

import pytest
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub
from mmengine.runner.base_loop import BaseLoop
from mmseg.registry import HOOKS, METRICS

from mmseg_ext.apis.run import training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.apis.run.switches import use_early_stop
from mmseg_ext.engine.early_stopping import EarlyStoppingHook

SCORES = {1: 10.0, 2: 30.0, 3: 30.0, 4: 20.0, 5: 90.0, 6: 91.0}


@METRICS.register_module(name='_ScoreOfIteration')
class ScoreOfIteration(BaseMetric):
    """The score that a table has for the iteration."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(mIoU=SCORES[MessageHub.get_current_instance().get_info('iter') + 1])


class Loop(BaseLoop):
    def __init__(self):
        self.stop_training = False

    def run(self):
        """Nothing."""


def stopped_after(scores, **settings):
    """Validations that a run with these scores makes."""
    hook = EarlyStoppingHook('mIoU', **settings)
    hub = MessageHub('scores' + str(id(hook)))
    loop = Loop()
    logger = SimpleNamespace(info=lambda text: None)
    runner = SimpleNamespace(
        _train_loop=loop, train_loop=loop, message_hub=hub, iter=0, logger=logger
    )
    hook.before_train(runner)
    for score in scores:
        runner.iter += 1
        hook.after_val_epoch(runner, dict(mIoU=score))
        if loop.stop_training:
            break
    return runner.iter


@pytest.mark.parametrize(
    ('scores', 'settings', 'expected'),
    [
        ([50, 50, 49, 60], dict(patience=2), 3),  # equal is not better
        ([50, 49, 51, 50, 50, 99], dict(patience=2), 5),
        ([50, 49, 51, 50, 50, 99], dict(patience=3), 6),
        ([50, 50.4, 50.8, 51.5, 60], dict(patience=2, min_delta=1), 3),
        ([3, 2, 2.5, 2.5], dict(patience=2, rule='less'), 4),
        ([50, float('nan'), 60], dict(patience=2), 2),
        ([50, 80, 90], dict(patience=2, stopping_threshold=75), 2),
    ],
)
def test_it_stops_after_so_many_validations(scores, settings, expected):
    assert stopped_after(scores, **settings) == expected


def test_a_score_that_no_validation_reports_is_named():
    runner = SimpleNamespace(_train_loop=Loop())
    with pytest.raises(ValueError, match='follows mDice, and the validation reports mIoU, aAcc: '):
        EarlyStoppingHook('mDice').after_val_epoch(runner, dict(mIoU=1, aAcc=2))


def test_it_takes_the_place_of_mmengine_s():
    assert HOOKS.get('EarlyStoppingHook') is EarlyStoppingHook


def test_a_stopped_run_is_finished_and_resumed_alike(tiny_config, tmp_path):
    def train(folder, resume=False, **changes):
        options = {'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 2, **changes}
        cfg = load_config(tiny_config, work_dir=folder, options=options)
        cfg.val_evaluator = dict(type='_ScoreOfIteration')
        cfg.val_dataloader.dataset.indices = 1
        use_early_stop(cfg, 2)
        return training.train(cfg, resume=resume).iter, cfg

    whole = tmp_path / 'whole'
    steps, cfg = train(whole, **{'default_hooks.checkpoint.interval': 3})
    folder = RunFolder(whole)
    assert steps == 4  # 30 at 2, then 30 and 20; 4 is no multiple of the interval
    assert folder.last_checkpoint().name == 'iter_4.pth'
    assert folder.best_checkpoint().name == 'best_mIoU_iter_2.pth'
    assert folder.is_trained(cfg) and not folder.is_half_trained(cfg)
    assert train(whole, resume=True)[0] == 4  # nothing is left to train
    killed = tmp_path / 'killed'
    shutil.copytree(whole, killed)
    (killed / 'iter_4.pth').unlink()
    folder = RunFolder(killed)
    assert folder.last_checkpoint().name == 'iter_3.pth'
    assert not folder.is_trained(cfg) and folder.is_half_trained(cfg)
    assert train(killed, resume=True)[0] == 4  # one of the two validations was before the stop
