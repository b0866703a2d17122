"""Work in threads beside the caller's: order, number at a time, errors."""

import threading
import time

import pytest

from mmseg_ext.core.beside import Beside


@pytest.mark.parametrize('threads', [1, 3])
def test_results_come_in_the_order_of_the_calls(threads):
    def slow_first(number):
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number * number

    found = []
    with Beside('test', threads) as beside:
        for number in range(10):
            beside.do(slow_first, number, then=found.append)
    assert found == [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]


@pytest.mark.parametrize('threads', [1, 3])
def test_so_many_calls_run_at_a_time_and_none_waits(threads):
    lock, running, most, begun = threading.Lock(), [0], [0], [0]

    def work():
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.01)
        with lock:
            running[0] -= 1
            begun[0] += 1

    with Beside('test', threads) as beside:
        for number in range(12):
            beside.do(work)
            assert begun[0] >= number + 1 - threads  # all others are done
    assert (most[0], begun[0]) == (threads, 12)


def test_a_call_runs_while_the_caller_goes_on():
    gate, found = threading.Event(), []
    with Beside('test') as beside:
        beside.do(gate.wait, 10, then=found.append)
        gate.set()
    assert found == [True]  # set while it waited


def test_the_caller_s_thread_is_told_of_results():
    names = []
    with Beside('test') as beside:
        work = threading.current_thread
        beside.do(lambda: work().name, then=lambda name: names.extend((name, work().name)))
    assert names == ['test_0', threading.current_thread().name]


def test_an_error_reaches_the_next_call_and_what_ran_before_is_told():
    found = []
    with pytest.raises(OSError, match='full'), Beside('test') as beside:
        beside.do(int, '7', then=found.append)
        beside.do(_fail)
        beside.do(int, '8', then=found.append)
        raise AssertionError('the error came too late')
    assert found == [7]


def test_an_error_of_the_last_call_is_raised_at_the_end():
    with pytest.raises(OSError, match='full'), Beside('test') as beside:
        beside.do(_fail)


def test_after_an_error_of_the_caller_what_has_begun_is_done_and_told():
    found = []
    with pytest.raises(KeyboardInterrupt), Beside('test', 3) as beside:
        beside.do(_slow, 1, then=found.append)
        beside.do(_fail)
        beside.do(_slow, 2, then=found.append)
        raise KeyboardInterrupt
    assert found == [1, 2]


def _slow(value):
    time.sleep(0.02)
    return value


def _fail():
    raise OSError('the disk is full')
