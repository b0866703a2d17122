"""Files of runs that were damaged or edited: each is named, with the entry that is wrong."""

import copy
import json

import pytest

from mmseg_ext.apis.folds.fold import Split, read_split
from mmseg_ext.apis.run.outcome.check import check_results

GOOD = dict(
    num_images=2,
    metrics=dict(mIoU=dict(value=0.5, low=None, high=0.75), aAcc=dict(value=None)),
    per_class=dict(IoU=dict(a=0.5, b=None), Acc=dict(a=1, b=0.0)),
    per_class_intervals=dict(IoU=dict(a=[0.25, 0.5], b=[None, None])),
    confusion=[[3, 1], [0, 2]],
    checkpoint='iter_2.pth',
)
SPLIT = dict(
    fold=0, num_folds=2, split_seed=0, pool='train', splitter='KFold', val_ids=['a'],
    val_groups=None,
)  # fmt: skip


def test_whole_results_pass() -> None:
    check_results(GOOD, 'r.json')
    check_results(dict(metrics={}), 'r.json', needed=('metrics',))


@pytest.mark.parametrize(
    'path, value, named',
    [
        ('metrics', [], 'metrics'),
        ('metrics.mIoU', 0.5, 'metrics'),
        ('metrics.mIoU.high', '0.75', 'metrics'),
        ('metrics.mIoU.value', float('nan'), 'metrics'),
        ('metrics.mIoU.low', 10**30, 'metrics'),
        ('per_class.IoU', None, 'per_class'),
        ('per_class.IoU.a', [1], 'per_class'),
        ('per_class.Acc', {'b': 1}, 'per_class'),
        ('per_class_intervals.IoU.a', [1], 'per_class_intervals'),
        ('per_class_intervals.IoU', {'c': [0, 1]}, 'per_class_intervals'),
        ('confusion', [[1, 2]], 'confusion'),
        ('confusion', [[1, 2], [3, -4]], 'confusion'),
        ('confusion', [[1, 2], [3, 0.5]], 'confusion'),
        ('checkpoint', '../iter_2.pth', 'checkpoint'),
        ('checkpoint', 7, 'checkpoint'),
        ('num_images', 'two', 'num_images'),
    ],
)
def test_the_damaged_entry_is_named(path, value, named) -> None:
    results = copy.deepcopy(GOOD)
    place = results
    *keys, last = path.split('.')
    for key in keys:
        place = place[key]
    place[last] = value
    with pytest.raises(ValueError, match=rf'r\.json: {named} is damaged'):
        check_results(results, 'r.json')


@pytest.mark.parametrize('content', [[], None, 'x', {}, dict(metrics={})])
def test_what_is_no_result_is_named(content) -> None:
    with pytest.raises(ValueError, match=r'r\.json'):
        check_results(content, 'r.json')


@pytest.mark.parametrize(
    'change, named',
    [
        (dict(fold='0'), 'fold'),
        (dict(val_ids=None), 'val_ids'),
        (dict(val_ids=[1]), 'val_ids'),
        (dict(val_groups=['x', 'y']), 'val_groups'),
    ],
)
def test_damaged_splits_are_named(tmp_path, change, named) -> None:
    (tmp_path / 'split.json').write_text(json.dumps(SPLIT))
    assert read_split(tmp_path) == Split(**SPLIT)
    (tmp_path / 'split.json').write_text(json.dumps(dict(SPLIT, **change)))
    with pytest.raises(ValueError, match=rf'split\.json: {named} is damaged'):
        read_split(tmp_path)
