"""What a schedule comes to: a validation that never happens is told."""

import pytest
from mmengine.config import Config

from mmseg_ext.apis.config.schedule import late_validation


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
