"""A few of the kills of tools/dev/crash_test.py, each resumed and compared bit for bit."""

import json
import sys

import pytest


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='looks into /proc')
def test_killed_trainings_end_as_undisturbed_ones(tmp_path, python_tool):
    """At a random time, in a validation and in the write of a checkpoint."""
    out = tmp_path / 'crash'
    kinds = ['random', 'validation', 'writing iter_*.pth']
    given = [word for kind in kinds for word in ('--kind', kind)]
    more = ['--kills', 3, '--only', 'train', '--seed', 1, '--out', out]
    done = python_tool('tools/dev/crash_test.py', *more, *given)
    trials = json.loads((out / 'crash.json').read_text())['trials']
    assert [trial['equal'] for trial in trials] == [True] * 3, done.stdout
    assert '| all | | 3 | 3 | 3 |' in done.stdout
    assert [trial['kind'] for trial in trials] == kinds
