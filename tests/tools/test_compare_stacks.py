"""The comparison of two environments: equal losses agree, and each kind of difference is told."""

import copy
import json
import sys

import pytest
from support.paths import ROOT

sys.path.insert(0, str(ROOT / 'tools/dev'))

import compare_stacks as tool

RECORD = dict(
    stack={'mmengine': '0.10.7', 'mmcv-lite': '2.1.0'},
    runs={
        'A': dict(config='a/one', weights='12ab', losses=[3.0, 2.5]),
        'B': dict(config='b/two', weights='34cd', losses=[1.0, 0.25]),
    },
)


@pytest.fixture
def told(tmp_path, capsys):
    """Compares the record with a changed one; returns exit status, output and error."""

    def compare(change):
        other = copy.deepcopy(RECORD)
        change(other)
        paths = [tmp_path / 'before.json', tmp_path / 'after.json']
        for path, content in zip(paths, (RECORD, other)):
            path.write_text(json.dumps(content))
        status = tool.main(['compare', *map(str, paths)])
        return status, *capsys.readouterr()

    return compare


def test_equal_losses_agree_and_both_stacks_are_named(told):
    status, out, _ = told(lambda other: other.update(stack={'onedl-mmengine': '0.10.12'}))
    assert status == 0
    assert out.splitlines() == [
        'A: mmengine 0.10.7, mmcv-lite 2.1.0',
        'B: onedl-mmengine 0.10.12',
        '',
        '| | config | same weights | first loss, A | last loss, A | largest difference, A to B |',
        '|---|---|---|---|---|---|',
        '| A | `a/one` | yes | 3.0000 | 2.5000 | 0 |',
        '| B | `b/two` | yes | 1.0000 | 0.2500 | 0 |',
    ]


@pytest.mark.parametrize(
    ('change', 'status', 'row'),
    [
        (dict(losses=[1.0, 0.25 + 9e-5]), 0, '| yes | 1.0000 | 0.2500 | 9.0e-05 |'),
        (dict(losses=[1.0 - 2e-4, 0.25]), 1, '| yes | 1.0000 | 0.2500 | 2.0e-04 |'),
        (dict(weights='ff'), 1, '| no | 1.0000 | 0.2500 | 0 |'),
    ],
)
def test_a_difference_is_told(told, change, status, row):
    found, out, _ = told(lambda other: other['runs']['B'].update(change))
    assert found == status and row in out.splitlines()[-1]


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda other: other['runs'].pop('B'), 'of other configs'),
        (lambda other: other['runs'].clear(), 'after.json is no whole record'),
        (lambda other: other['runs']['A'].update(losses=[]), 'after.json is no whole record'),
        (lambda other: other.pop('stack'), 'after.json is no record (KeyError)'),
    ],
)
def test_what_is_no_record_is_one_line(told, change, words):
    status, _, error = told(change)
    assert status == 2 and words in error and error.count('\n') == 1


def test_crops_and_padding_are_cut_at_any_depth():
    cfg = dict(
        data_preprocessor=dict(type='SegDataPreProcessor', seg_pad_val=255, size=(512, 512)),
        test=dict(seg_pad_val=255, size=None),
        pipeline=[dict(type='RandomCrop', crop_size=(512, 512)), dict(type='Resize', size=9)],
    )
    tool.cut(cfg)
    assert cfg['data_preprocessor']['size'] == cfg['pipeline'][0]['crop_size'] == (64, 64)
    assert cfg['pipeline'][1]['size'] == 9 and cfg['test']['size'] is None


def test_the_recorded_configs_are_there():
    assert len(tool.CONFIGS) == 5
    assert all((ROOT / 'configs' / f'{path}.py').is_file() for path in tool.CONFIGS.values())
