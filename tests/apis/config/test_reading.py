"""A config that is damaged or misbehaves is one line that names it, wherever it is read."""

import pytest

from mmseg_ext.apis.config.reading import read_config
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.core import signals


@pytest.mark.parametrize(
    'text, words',
    [
        ('x = 1\ny = (', r'tiny\.py, line 2 cannot be read: SyntaxError'),
        ('x = 1 / 0', r'tiny\.py cannot be read: ZeroDivisionError'),
        ('import sys\nsys.exit(0)', r'tiny\.py cannot be read: SystemExit'),
        ("_base_ = './gone.py'", r'tiny\.py cannot be read: FileNotFoundError: .*gone\.py'),
    ],
)
def test_what_is_wrong_in_a_config_is_named(tmp_path, text, words):
    (tmp_path / 'tiny.py').write_text(text)
    for read in (
        lambda: read_config(tmp_path / 'tiny.py'),
        lambda: RunFolder(tmp_path).tested_config('tiny'),
        lambda: RunFolder(tmp_path).training_config('tiny'),
    ):
        with pytest.raises(ValueError, match=words) as found:
            read()
        assert '\n' not in str(found.value)


def test_a_signal_is_no_error_of_the_config(tmp_path, monkeypatch):
    (tmp_path / 'tiny.py').write_text('x = 1')

    def stop(*_):
        raise signals.Stopped(15)

    monkeypatch.setattr('mmseg_ext.apis.config.reading.Config.fromfile', stop)
    with pytest.raises(signals.Stopped):
        read_config(tmp_path / 'tiny.py')
