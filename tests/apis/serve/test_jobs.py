"""The queue before the one thread that predicts: how many wait, how long, and what at the end."""

import threading
import time

import pytest

from mmseg_ext.apis.serve.jobs import Jobs
from mmseg_ext.apis.serve.problems import RequestError


class Gate:
    """Work that waits until it is let through, and notes what it was given."""

    def __init__(self) -> None:
        self.open, self.begun, self.seen = threading.Event(), threading.Event(), []

    def __call__(self, item: int) -> int:
        self.begun.set()
        assert self.open.wait(20)
        self.seen.append((item, threading.current_thread().name))
        if item < 0:
            raise ValueError(f'{item} is below 0')
        return 10 * item


def _ask(jobs, item, results):
    def ask() -> None:
        try:
            with jobs.place():
                results[item] = jobs.run(item)
        except Exception as error:
            results[item] = error

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def _ask_after(thread, *arguments):
    thread.join(20)
    return _ask(*arguments)


def test_what_finds_no_place_is_told_when_to_come_again():
    gate, results = Gate(), {}
    jobs = Jobs(gate, size=2, seconds=20)
    first = _ask(jobs, 1, results)
    assert gate.begun.wait(20)
    with jobs.place():
        with pytest.raises(
            RequestError, match='2 images are waiting, .*: try again in 1 s'
        ) as told:
            with jobs.place():
                pass
        assert told.value.status == 503 and int(told.value.headers['Retry-After']) >= 1
    second = _ask(jobs, 2, results)  # the place that the block left
    gate.open.set()
    for thread in (first, second, _ask_after(first, jobs, -3, results)):
        thread.join(20)
    assert (results[1], results[2], str(results[-3])) == (10, 20, '-3 is below 0')
    assert {name for _, name in gate.seen} == {'predict'}
    jobs.close()


def test_nobody_waits_longer_than_is_said_and_what_is_given_up_is_not_done():
    gate = Gate()
    jobs = Jobs(gate, size=3, seconds=0.05)
    for item in (1, 2):  # the first is worked on, the second waits
        with pytest.raises(RequestError, match=r'not predicted within 0\.05 seconds') as told:
            with jobs.place():
                jobs.run(item)
        assert told.value.status == 503 and 'Retry-After' in told.value.headers
    gate.open.set()
    with jobs.place():
        assert jobs.run(3) == 30
    assert [item for item, _ in gate.seen] == [1, 3]
    jobs.close()


def test_at_the_end_what_waits_is_refused_and_the_work_is_finished():
    gate, results = Gate(), {}
    jobs = Jobs(gate, size=5, seconds=20)
    threads = [_ask(jobs, 1, results)]
    assert gate.begun.wait(20)
    threads += [_ask(jobs, item, results) for item in (2, 3)]
    while jobs._waiting.qsize() < 2:
        time.sleep(0.001)
    threading.Timer(0.05, gate.open.set).start()
    jobs.close(20)
    for thread in threads:
        thread.join(20)
    assert results[1] == 10
    assert [results[item].status for item in (2, 3)] == [503, 503]
    with pytest.raises(RequestError, match='is ending'), jobs.place():
        jobs.run(4)
