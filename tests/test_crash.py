"""A few of the kills of tools/dev/crash_test.py, each resumed and compared bit for bit."""

import json
import sys

import pytest


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='looks into /proc')
def test_killed_trainings_end_as_undisturbed_ones(tmp_path, python_tool):
    """At a random time, in a validation, in a log and in a checkpoint."""
    out = tmp_path / 'crash'
    done = python_tool(
        'tools/dev/crash_test.py', '--kills', 4, '--only', 'train', '--seed', 1, '--out', out
    )
    trials = json.loads((out / 'crash.json').read_text())['trials']
    assert [trial['equal'] for trial in trials] == [True] * 4, done.stdout
    assert '| all | | 4 | 4 | 4 |' in done.stdout
    assert len({trial['kind'] for trial in trials}) > 2
