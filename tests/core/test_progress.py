"""Progress: a moving line on a terminal, plain text in a pipe, nothing if quiet is wished."""

import contextlib
import logging
import os
import pty
import re
import subprocess
import sys

import pytest
from mmengine.logging import MMLogger

from mmseg_ext.core import progress
from mmseg_ext.core.progress import Line, hushed, track

PROGRAM = """
import sys
from mmengine.logging import MMLogger
from mmseg_ext.core.progress import Line, track
log = MMLogger.get_instance('pty', log_level='INFO')
with Line('train', 4, done=1, size=2) as line:
    line.step(note='loss 0.500')
    log.info('a line of the log')
    for _ in track([1, 2], 'val'):
        pass
    line.step(2, note='loss 0.250, best 71')
"""


def on_a_terminal(code):
    """What a program writes to a terminal of 120 columns."""
    ours, theirs = pty.openpty()
    env = {**os.environ, 'COLUMNS': '120', 'TERM': 'xterm'}
    env.pop('MMSEG_EXT_PROGRESS', None)
    with subprocess.Popen(
        [sys.executable, '-c', code], stdout=theirs, stderr=theirs, env=env
    ) as child:
        os.close(theirs)
        pieces = []
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            pieces.append(piece)
    os.close(ours)
    assert child.returncode == 0
    return b''.join(pieces).decode()


def test_one_line_with_all_of_it_on_a_terminal():
    text = on_a_terminal(PROGRAM)
    plain = re.sub(r'\x1b\[[0-9;?]*[a-zA-Z]', '', text)
    last = re.split(r'[\r\n]+', plain.strip())[-1]
    assert re.match(r'train \S+ +4/4 0:00:00 .*images/s loss 0.250, best 71$', last)
    assert 'a line of the log' in plain and 'val' in plain
    assert text.count('\x1b[?25h') == 1  # the cursor is there again


@pytest.fixture
def piped(monkeypatch, capsys):
    """What was written to standard error since the last look."""
    monkeypatch.delenv(progress.VARIABLE, raising=False)
    return lambda: capsys.readouterr().err


def test_plain_text_in_a_pipe(piped, monkeypatch):
    clock = iter([0.0, 4.0, 10.0, 20.0, 20.0])
    monkeypatch.setattr(progress.time, 'monotonic', lambda: next(clock))
    assert list(track(['a', 'b', 'c'], 'predict', total=6)) == ['a', 'b', 'c']
    assert piped().splitlines() == [
        'predict 2/6, 0.2 images/s, 0:00:20 left',
        'predict 3/6, 0.15 images/s, 0:00:20 left',
    ]


def test_a_training_in_a_pipe_has_its_log_alone(piped, monkeypatch):
    with Line('train', 2) as line:
        line.step(2)
    assert piped() == ''
    monkeypatch.setenv(progress.VARIABLE, '1')
    with Line('train', 2) as line:
        line.step(2, note='loss 1.000')
    assert re.fullmatch(r'train 2/2, \S+ images/s, 0:00:00 left, loss 1.000\n', piped())


def test_quiet_shows_warnings_alone(piped, monkeypatch, capsys, tmp_path):
    for name in (progress.VARIABLE, progress.QUIET):
        monkeypatch.setenv(name, '')
    progress.be_quiet()
    assert list(track([1], 'predict')) == [1] and piped() == ''
    with hushed():
        logger = MMLogger.get_instance('quiet', log_level='INFO', log_file=str(tmp_path / 'x.log'))
        logger.info('built')
        logger.warning('careful')
    logger.info('a step')
    logger.warning('slow')
    notices = ['The prefix is not set in metric class X.', '"FileClient" will be deprecated']
    for notice in notices:  # mmengine's, of every training
        logger.warning(notice + ' in future')
    told = capsys.readouterr().out
    assert [word in told for word in ('built', 'careful', 'a step', 'slow')] == [0, 1, 0, 1]
    assert notices and not any(notice in told for notice in notices)
    kept = next(tmp_path.glob('*.log')).read_text()
    assert all(word in kept for word in ('built', 'careful', 'a step', 'slow', *notices))
    for known in (MMLogger.get_current_instance(), logger):
        for handler in known.handlers:
            handler.setLevel(logging.INFO)
            handler.filters.clear()


@pytest.mark.parametrize('quiet', [True, False])
def test_what_comes_next_is_no_result(quiet, monkeypatch, capsys):
    monkeypatch.setenv(progress.QUIET, '1' if quiet else '')
    progress.announce('fold 0: finished already')
    assert capsys.readouterr().out == ('' if quiet else 'fold 0: finished already\n')


@pytest.mark.parametrize('in_test', [True, False])
def test_quiet_shows_results_of_a_test_and_not_of_each_validation(in_test, monkeypatch, capsys):
    monkeypatch.setenv(progress.QUIET, '1')
    with progress.results_shown() if in_test else contextlib.nullcontext():
        progress.tell_result('mIoU 61.80')
    told = [line for line in capsys.readouterr().out.splitlines() if '- INFO -' not in line]
    assert told == (['mIoU 61.80'] if in_test else [])
    progress.tell_result('mIoU 61.80')
    told = [line for line in capsys.readouterr().out.splitlines() if '- INFO -' not in line]
    assert told == []


def test_it_shows_nothing_if_told_so(piped):
    assert list(track(iter('ab'), 'x', show=False)) == ['a', 'b']
    assert piped() == ''
