"""What a schedule comes to: validations, checkpoints and rates that would never come are told."""

import pytest
from mmengine.config import Config

from mmseg_ext.apis.config.schedule import check_units, late_checkpoints, late_validation
from mmseg_ext.apis.run import training
from mmseg_ext.apis.run.config import load_config

ITERATIONS, EPOCHS = dict(max_iters=6), dict(max_epochs=6)
POLY = dict(type='PolyLR', begin=0, end=6)


@pytest.mark.parametrize(
    'loop, told',
    [
        (dict(max_iters=50, val_begin=51), 'train_cfg.val_begin=51 lies beyond max_iters=50'),
        (dict(max_epochs=3, val_begin=4), 'train_cfg.val_begin=4 lies beyond max_epochs=3'),
        (dict(max_iters=50, val_begin=50), None),
        (dict(max_iters=50), None),
    ],
)
def test_a_validation_that_never_begins_is_told(loop, told):
    cfg = Config(dict(train_cfg=loop, val_cfg=dict(type='ValLoop')))
    note = late_validation(cfg)
    assert note is None if told is None else note.startswith(told) and 'no best' in note
    assert late_validation(Config(dict(train_cfg=loop, val_cfg=None))) is None


@pytest.mark.parametrize(
    ('loop', 'schedulers', 'refused'),
    [
        (ITERATIONS, POLY, True),  # mmengine's default is epochs
        (ITERATIONS, [dict(POLY, by_epoch=False), dict(POLY, by_epoch=True)], True),
        (ITERATIONS, dict(first=[dict(POLY, by_epoch=False)], second=[POLY]), True),
        (ITERATIONS, dict(POLY, by_epoch=False), False),
        (ITERATIONS, dict(POLY, convert_to_iter_based=True), False),
        (ITERATIONS, None, False),
        (EPOCHS, [POLY, dict(POLY, by_epoch=False)], False),
    ],
)
def test_a_rate_that_would_never_change_is_refused(loop, schedulers, refused):
    cfg = Config(dict(train_cfg=loop, param_scheduler=schedulers))
    if refused:
        with pytest.raises(ValueError, match='PolyLR counts epochs, and the training iterations'):
            check_units(cfg)
    else:
        check_units(cfg)


@pytest.mark.parametrize(
    ('loop', 'hooks', 'told'),
    [
        (ITERATIONS, {}, True),  # mmengine adds its own
        (ITERATIONS, dict(checkpoint=dict(interval=2)), True),
        (ITERATIONS, dict(checkpoint=dict(interval=2, by_epoch=False)), False),
        (ITERATIONS, dict(checkpoint=None), False),
        (EPOCHS, {}, False),
    ],
)
def test_checkpoints_that_come_at_the_end_alone_are_told(loop, hooks, told):
    note = late_checkpoints(Config(dict(train_cfg=loop, default_hooks=hooks)))
    assert (note is not None and 'the only checkpoint is written at the end' in note) == told


def test_a_training_says_both(tiny_config, tmp_path):
    folder = tmp_path / 'run'
    options = {'default_hooks.checkpoint.by_epoch': True, 'max_iters': 2}
    training.train(load_config(tiny_config, options=options, work_dir=folder))
    (log,) = folder.glob('*/*.log')
    assert log.read_text().count('default_hooks.checkpoint counts epochs') == 1
    assert [path.name for path in folder.glob('epoch_*.pth')] == ['epoch_1.pth']
    assert not list(folder.glob('iter_*.pth'))
    options = {'param_scheduler.0.by_epoch': True}
    with pytest.raises(ValueError, match='the learning rate would never change'):
        training.train(load_config(tiny_config, options=options, work_dir=tmp_path / 'other'))
    assert not (tmp_path / 'other').exists()
