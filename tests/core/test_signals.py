"""A process that is asked to end does so at once, or at the end of its step."""

import os
import signal
import threading

import pytest

from mmseg_ext.core import signals


def _ask(number=signal.SIGTERM):
    signal.raise_signal(number)  # handled before it returns, whatever threads there are


@pytest.mark.parametrize(
    'status, number',
    [(143, signal.SIGTERM), (-15, signal.SIGTERM), (130, signal.SIGINT), (1, None), (137, None)],
)
def test_a_childs_status_tells_of_the_signal(status, number):
    assert signals.signal_of(status) == number


def test_the_status_is_the_shells_and_the_text_says_what_was_kept():
    stopped = signals.Stopped(signal.SIGTERM, 'run it again')
    assert stopped.code == 143 and str(stopped) == 'stopped by SIGTERM: run it again'
    assert str(signals.Stopped(signal.SIGINT)) == 'stopped by SIGINT'


def test_a_request_ends_at_once_and_the_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(signals.Stopped) as stopped, signals.handled(), signals.handled():
        _ask()
    assert stopped.value.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_request_waits_for_the_step_and_a_second_one_does_not(monkeypatch):
    with signals.handled():
        signals.wait_for_step()
        _ask()
        assert signals.requested() == signal.SIGTERM
        _ask()  # the same request, from somebody else
        monkeypatch.setattr(signals, 'REPEATED_S', 0)
        with pytest.raises(signals.Stopped):
            _ask()  # not SIGINT: a shell lets what it starts in the background ignore that


def test_a_request_is_passed_on_and_then_ends():
    heard = []
    with pytest.raises(signals.Stopped), signals.handled():
        with signals.told(lambda number, again: heard.append((number, again))):
            _ask()
            heard.append('the block goes on')
        heard.append('never')
    assert heard == [(signal.SIGTERM, False), 'the block goes on']


def test_other_threads_are_left_alone():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work():
        with signals.handled():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_request_to_end_one_block_ends_no_later_one():
    """As where one process serves, is stopped, and then starts children for something else."""
    with pytest.raises(signals.Stopped), signals.handled():
        os.kill(os.getpid(), signal.SIGUSR1)
    with signals.told(lambda number, again: None):
        pass
    assert signals.requested() is None
