"""The judge of tools/dev/fuzz.py: strict about what it calls clear."""

import random
import sys

import pytest
from support.paths import ROOT

sys.path.insert(0, str(ROOT / 'tools/dev'))

import fuzz  # noqa: E402
from fuzz_cases.case import broken_bytes  # noqa: E402
from fuzz_world import settle  # noqa: E402

from mmseg_ext.core.files import read_json, write_json  # noqa: E402

Ended = fuzz.Ended


def outcome(code, err='', *, out='', broken=True, peak=100.0) -> str:
    case = fuzz.Case('kind', 'name', lambda f: None, lambda f: [], ('w.pth',), broken)
    return fuzz.judge(case, 'predict', Ended(code, out, err, 1.0, peak), 100.0)


@pytest.mark.parametrize(
    'expected, code, err',
    [
        ('clear', 1, 'a warning\nerror: a/w.pth is cut short\n'),
        ('clear', 2, 'usage: x\npredict.py: error: no w.pth\n'),
        ('clear', 1, 'error: 1 of 2 images failed:\n  a/w.pth is empty\n'),
        ('unclear', 1, 'error: something is wrong\n'),
        ('unclear', 1, 'error: w.pth\nerror: w.pth\n'),
        ('unclear', 1, 'w.pth is broken\n'),
        ('unclear', 1, f'error: w.pth {"x" * 3000}\n'),
        ('unclear', 1, ''),
        ('traceback', 1, 'Traceback (most recent call last):\n  w.pth\nerror: w.pth\n'),
        ('crash', -11, 'error: w.pth\n'),
        ('hang', None, ''),
        ('silent', 0, ''),
    ],
)
def test_only_one_line_that_names_it_is_clear(expected, code, err) -> None:
    assert outcome(code, err) == expected


def test_what_could_be_used_is_right_unless_memory_had_no_bound() -> None:
    assert outcome(0, broken=False) == 'right'
    assert outcome(0, broken=False, peak=100 + fuzz.MEMORY_MB + 1) == 'memory'


def test_files_where_none_belong_are_seen(tmp_path) -> None:
    (tmp_path / 'out').mkdir()
    (tmp_path / 'w.pth').touch()
    before = fuzz.files_of(tmp_path)
    (tmp_path / 'out/new.json').write_text('{}')
    assert fuzz.damage(before, tmp_path) == ''
    (tmp_path / 'out/half.json').write_text('{')
    assert fuzz.damage(before, tmp_path) == 'half-written'
    (tmp_path / 'beside').touch()
    assert fuzz.damage(before, tmp_path) == 'outside'
    (tmp_path / 'MARK').mkdir()
    assert fuzz.damage(before, tmp_path) == 'ran code'


def test_what_is_broken_next_hangs_on_no_length() -> None:
    follow = []
    for length in (3, 700, 9000):
        rng = random.Random(5)
        broken_bytes(bytes(length), rng)
        follow.append(rng.random())
    assert len(set(follow)) == 1


def test_results_of_two_days_are_broken_alike(tmp_path) -> None:
    for day, commit in (('2020-02-29', 'abc'), ('2031-12-01', None)):
        write_json(tmp_path / day, dict(mIoU=0.25, date=day, commit=commit, dirty=commit is None))
        settle(tmp_path / day)
    first, second = map(read_json, tmp_path.iterdir())
    assert first == second
    assert first['mIoU'] == 0.25
