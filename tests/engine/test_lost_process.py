"""A process that is stopped, gone or never came is named in one line; so is a busy port."""

import os
import re
import signal
import socket
import subprocess
import sys
from datetime import timedelta

import pytest
import torch
from mmengine.config import Config
from support.paths import ROOT
from torch import distributed

from mmseg_ext.apis.run import options
from mmseg_ext.apis.run.options import use_launcher
from mmseg_ext.engine import lost_process
from mmseg_ext.engine.distributed import start_cpu_group
from mmseg_ext.engine.lost_process import VARIABLE, named, waiting_time

LOSE = """
import os
import signal
import sys
import time
import torch
from mmseg_ext.engine.lost_process import LostProcessError, named
signal.signal(signal.SIGTERM, lambda *_: sys.exit('asked'))
sleep = time.sleep
if rank == {slow}:  # sees the list when all others have
    time.sleep = lambda seconds: sleep(max(seconds, 3.5))
try:
    with named(timedelta(seconds=2)):
        distributed.barrier()
        if rank == {lost}:
            {fate}
        distributed.all_reduce(torch.ones(3))
    print('whole')
except LostProcessError as error:
    print(error)
except SystemExit as error:
    print('status', error.code)
"""


@pytest.mark.parametrize('lost, count, slow', [(1, 2, None), (2, 3, 1), (0, 2, None)])
def test_a_stopped_process_ends_the_others_and_is_named(lost, count, slow, two_ranks):
    code = LOSE.format(lost=lost, slow=slow, fate='os.kill(os.getpid(), signal.SIGSTOP)')
    texts = two_ranks(code, count, limit=2)
    told = 1 if lost == 0 else 0  # the first of those that are left
    expected = rf'process {lost} \(of {count}, from 0\) does not answer: .* wait 2 s .*--resume'
    assert re.match(expected, texts[told]), texts
    assert texts[lost] == 'status asked\n'  # it was woken up to end
    assert texts.count('status 1\n') == count - 2  # nobody else has a word to say


def test_a_process_that_went_is_named_at_once(two_ranks):
    code = LOSE.format(lost=1, slow=None, fate="print('went', flush=True); os._exit(0)")
    texts = two_ranks(code, limit=600)
    assert texts[1] == 'went\n' and texts[0].startswith('process 1 (of 2, from 0) does not answer')


@pytest.fixture
def three(monkeypatch):
    """Three processes with one list, each of them this one in turn; waiting is short."""
    store = distributed.HashStore()
    monkeypatch.setattr(lost_process, '_SIGNING_S', 0.2)
    monkeypatch.setattr(lost_process, '_get_default_store', lambda: store)
    monkeypatch.setattr(distributed, 'get_world_size', lambda: 3)

    def become(rank):
        monkeypatch.setattr(distributed, 'get_rank', lambda: rank)

    return become


def test_what_was_written_first_counts_for_those_who_sign_later(three):
    agree = lost_process._agree_on_missing
    store = lost_process._get_default_store()
    assert agree(store, 1, 3) == [0, 2]
    assert agree(store, 0, 3) == [0, 2] == agree(store, 2, 3)


def test_nobody_is_missing_once_all_have_signed(three):
    store = lost_process._get_default_store()
    store.set('mmseg_ext/left/0', '1')
    store.set('mmseg_ext/left/1', '1')
    agree = lost_process._agree_on_missing
    assert agree(store, 2, 3) == [] == agree(store, 0, 3)


def test_who_was_asked_to_end_neither_speaks_nor_ends_others(three, monkeypatch):
    three(0)
    monkeypatch.setattr(lost_process.signals, 'requested', lambda: signal.SIGTERM)
    monkeypatch.setattr(lost_process, '_end', lambda place: pytest.fail('ended'))
    with pytest.raises(SystemExit, match='^1$'):
        lost_process._tell(['1 here'] * 3, timedelta(seconds=2), RuntimeError('timed out'))
    assert not lost_process._get_default_store().check(['mmseg_ext/unsigned'])


def test_one_process_of_each_machine_ends_its_neighbours(three, monkeypatch):
    ended, places = [], ['10 a', '11 b', '12 b', '13 b']
    monkeypatch.setattr(lost_process, '_end', ended.append)
    for here, rank, expected in (('a', 0, 1), ('b', 1, 1), ('b', 2, 0)):
        three(rank)
        monkeypatch.setattr(socket, 'gethostname', lambda here=here: here)
        lost_process._end_neighbours(places, [3], [0, 1, 2])
        assert ended == ['13 b'] * expected  # which is left alone from another machine
        ended.clear()


def test_other_errors_are_left_alone():
    with pytest.raises(RuntimeError, match='^shape mismatch'), named(timedelta(seconds=2)):
        raise RuntimeError('shape mismatch')


def test_the_waiting_time_and_what_it_is_set_by(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert waiting_time() == timedelta(minutes=10)
    assert waiting_time(dict(backend='nccl', timeout=40)) == timedelta(seconds=40)
    monkeypatch.setenv(VARIABLE, '7.5')
    assert waiting_time(dict(timeout=40)) == timedelta(seconds=7.5)
    for wrong in ('soon', '0', '-3', 'nan', 'inf'):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(ValueError, match=f'{VARIABLE}.*{wrong}.* no time in seconds'):
            waiting_time()


def test_nccl_is_told_as_well(monkeypatch):
    monkeypatch.setenv(VARIABLE, '12')
    monkeypatch.setattr(options, 'start_cpu_group', lambda launcher, limit: False)
    cfg = Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl'))))
    use_launcher(cfg, 'slurm')
    assert cfg.env_cfg.dist_cfg == dict(backend='nccl', timeout=12.0)
    assert [hook.type for hook in cfg.custom_hooks] == ['SyncStatisticsHook']


@pytest.fixture
def busy_port():
    with socket.socket() as held:
        held.bind(('', 0))
        held.listen()
        yield held.getsockname()[1]


@pytest.fixture
def as_first_of_two(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    for name, value in dict(RANK=0, WORLD_SIZE=2, LOCAL_RANK=0, MASTER_ADDR='127.0.0.1').items():
        monkeypatch.setenv(name, str(value))


def test_a_busy_port_of_any_launcher_is_named(busy_port, as_first_of_two, monkeypatch):
    monkeypatch.setenv('MASTER_PORT', str(busy_port))
    with pytest.raises(ValueError, match=f'^port {busy_port} is in use by another.*MASTER_PORT$'):
        start_cpu_group('pytorch', limit=timedelta(seconds=5))


def test_processes_that_were_never_started_are_not_waited_for(
    free_port, as_first_of_two, monkeypatch
):
    monkeypatch.setenv('MASTER_PORT', str(free_port))
    with pytest.raises(ValueError, match='did not meet .*MASTER_ADDR'):
        start_cpu_group('pytorch', limit=timedelta(seconds=1))
    assert not distributed.is_initialized()


def test_steps_of_slurm_jobs_have_ports_of_their_own(monkeypatch):
    from mmseg_ext.engine import distributed as ours

    monkeypatch.delenv('SLURM_JOB_ID', raising=False)
    monkeypatch.delenv('SLURM_STEP_ID', raising=False)
    assert ours._port() == 29500
    ports = set()
    for job in range(4_711_000, 4_711_010):
        for step in range(3):
            monkeypatch.setenv('SLURM_JOB_ID', str(job))
            monkeypatch.setenv('SLURM_STEP_ID', str(step))
            ports.add(ours._port())
    assert len(ports) == 30 and 20000 <= min(ports) and max(ports) < 30000


@pytest.mark.parametrize('tool', ['dist_train.sh', 'dist_test.sh'])
def test_a_busy_port_is_one_line(tool, busy_port):
    words = ['bash', f'tools/{tool}', 'config.py', *(['file.pth'] if 'test' in tool else []), '2']
    env = {**os.environ, 'PYTHON': sys.executable, 'PORT': str(busy_port)}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, env=env)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f'error: port {busy_port} is in use by another process: choose another')
    assert done.returncode == 1 and done.stdout == ''
