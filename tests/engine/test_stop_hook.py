"""A run that is asked to end: at a step, saved, with a status that a scheduler understands."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook
from support.paths import ROOT
from support.tiny import write_tiny_config

from mmseg_ext.apis import cli
from mmseg_ext.apis.run.launch import run_logged
from mmseg_ext.core import signals
from mmseg_ext.engine import stop_hook

# Signals sent to the training by itself, at a place that no timing decides.
ASK = """
import multiprocessing, os, time
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

@HOOKS.register_module()
class Ask(Hook):
    def __init__(self, number, at, place='before_train_iter', again=False, pids=None):
        self.number, self.at, self.again, self.pids = number, at, again, pids
        setattr(self, place, self._ask)

    def _ask(self, runner, *args, **kwargs):
        if runner.iter == self.at:
            workers = [child.pid for child in multiprocessing.active_children()]
            if self.pids:
                open(self.pids, 'w').write(' '.join(map(str, workers)))
            for pid in [*workers, os.getpid()]:  # as Slurm and torchrun do: to all there are
                os.kill(pid, self.number)
            if self.again:
                time.sleep(1.1)
                os.kill(os.getpid(), self.number)
            self.number = 0
"""
STEADY = "custom_hooks = [dict(type='IterSeedHook')]\n"


@pytest.fixture
def config(tmp_path, tiny_data):
    """The function that writes a config which asks itself to end."""
    (tmp_path / 'ask_hook.py').write_text(ASK)

    def write(extra: str = '', **ask) -> Path:
        text = f'import sys\nsys.path.insert(0, {str(tmp_path)!r})\n'
        text += "custom_imports = dict(imports=['mmseg_ext', 'ask_hook'])\n"
        text += STEADY + f"custom_hooks += [dict(type='Ask', **{ask!r})]\n" + extra
        return write_tiny_config(tmp_path / 'asks.py', tiny_data, extra=text)

    return write


def train(python_tool, config, work, *more, check=False):
    return python_tool(
        'tools/train.py', config, '--work-dir', work, '--seed', 3, '--deterministic', *more,
        check=check)  # fmt: skip


def weights(path):
    return torch.load(path, weights_only=True)['state_dict']


def test_a_step_is_saved_and_the_run_goes_on_from_it(config, tmp_path, tiny_data, python_tool):
    asked = config(number=int(signal.SIGTERM), at=3)
    done = train(python_tool, asked, tmp_path / 'run')
    assert done.returncode == 143
    path = tmp_path / 'run' / 'iter_4.pth'
    said = f'stopped by SIGTERM: iteration 4 is saved as {path}; the same command with '
    assert done.stderr.splitlines()[-1] == f'{said}--resume goes on'
    assert 'Traceback' not in done.stderr and path.is_file()
    plain = tmp_path / 'plain.py'
    plain.write_text(asked.read_text().split('import sys')[0] + STEADY)
    train(python_tool, plain, tmp_path / 'run', '--resume', check=True)
    train(python_tool, plain, tmp_path / 'whole', check=True)
    resumed, whole = (weights(tmp_path / name / 'iter_6.pth') for name in ('run', 'whole'))
    assert all(torch.equal(resumed[key], value) for key, value in whole.items())


def test_workers_stay_for_the_step_and_go_with_the_run(config, tmp_path, python_tool):
    ask = dict(number=int(signal.SIGHUP), at=1, pids=str(tmp_path / 'pids'))
    asked = config('train_dataloader.update(num_workers=2)\n', **ask)
    done = train(python_tool, asked, tmp_path / 'run')
    assert done.returncode == 129 and 'stopped by SIGHUP: iteration 2 is saved' in done.stderr
    pids = (tmp_path / 'pids').read_text().split()
    assert len(pids) == 2 and 'Traceback' not in done.stderr
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def test_a_validation_ends_as_well(config, tmp_path, python_tool):
    ask = dict(number=int(signal.SIGUSR1), at=3, place='before_val_iter')
    done = train(python_tool, config(**ask), tmp_path / 'run')
    assert done.returncode == 138 and 'stopped by SIGUSR1: iteration 3 is saved' in done.stderr
    assert (tmp_path / 'run' / 'iter_3.pth').is_file()


def test_a_validation_of_an_average_saves_what_is_trained(monkeypatch):
    """The hook has put the average in the weights' place for the validation."""
    average = EMAHook(momentum=0.5)
    model = torch.nn.Linear(1, 1, bias=False)
    runner = SimpleNamespace(model=model, iter=3, epoch=0, hooks=[average])
    average.before_run(runner)
    average.ema_model.module.weight.data.fill_(7)
    model.weight.data.fill_(5)
    average.before_val_epoch(runner)
    monkeypatch.setattr(stop_hook, '_save', lambda *_: seen.append(model.weight.item()))
    monkeypatch.setattr(signals, 'requested', lambda: signal.SIGTERM)
    seen = []
    with pytest.raises(signals.Stopped):
        stop_hook.StopHook().after_val_iter(runner, 0)
    assert seen == [5] and average.ema_model.module.weight.item() == 7


def test_a_second_request_ends_at_once(config, tmp_path, python_tool):
    done = train(python_tool, config(number=int(signal.SIGTERM), at=3, again=True), tmp_path / 'r')
    assert done.returncode == 143 and done.stderr.splitlines()[-1].startswith('stopped by SIGTERM')
    assert [path.name for path in (tmp_path / 'r').glob('iter*')] == ['iter_3.pth']


def test_before_the_first_step_nothing_is_left(config, tmp_path, python_tool):
    ask = dict(number=int(signal.SIGTERM), at=0, place='before_train')
    done = train(python_tool, config(**ask), tmp_path / 'run')
    assert done.returncode == 143 and not (tmp_path / 'run').exists()
    assert done.stderr.splitlines()[-1].startswith('stopped by SIGTERM')


def test_all_ranks_end_after_the_same_step(two_ranks):
    """Rank 1 alone is asked, in its second step; each rank says where it ended."""
    printed = two_ranks("""
    import os, signal
    from types import SimpleNamespace
    from mmseg_ext.core import signals
    from mmseg_ext.engine.stop_hook import StopHook
    runner, hook = SimpleNamespace(iter=0, hooks=[]), StopHook()
    hook.before_train(runner)
    with signals.handled():
        try:
            for runner.iter in range(9):
                hook.before_train_iter(runner, 0)
                if rank == 1 and runner.iter == 1:
                    os.kill(os.getpid(), signal.SIGTERM)
                hook.after_train_iter(runner, 0)
        except signals.Stopped as stopped:
            print(runner.iter, stopped.code)
        signals.wait_for_step(False)
    """)
    assert printed == ['1 143\n', '1 143\n']


def fork(action):
    """Run an action in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            action()
        except SystemExit as end:
            os._exit(end.code or 0)
        finally:
            os._exit(99)
    return child


def wait_for(path, process):
    deadline = time.monotonic() + 120
    while not (path.is_file() and path.read_text()):
        assert time.monotonic() < deadline
        assert os.waitpid(process, os.WNOHANG) == (0, 0)
        time.sleep(0.02)
    return int(path.read_text())


SAVES = """
import os, signal, sys, time
def save(number, frame):
    time.sleep(0.3)
    open({saved!r}, 'w').write('saved')
    sys.exit(128 + number)
for name in ('SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'):
    signal.signal(getattr(signal, name), save)
open({pid!r}, 'w').write(str(os.getpid()))
time.sleep(600)
"""


@pytest.fixture
def parent(tmp_path):
    """A tool, such as kfold.py, whose child saves when it is asked to end; and its child."""
    script = tmp_path / 'train.py'
    script.write_text(SAVES.format(saved=str(tmp_path / 'saved'), pid=str(tmp_path / 'pid')))
    command = [sys.executable, '-S', str(script)]

    def run():
        for number in signals.SIGNALS:  # a shell's background job ignores some
            signal.signal(number, signal.SIG_DFL)
        sys.stdout = sys.stderr = open(os.devnull, 'w')
        cli.run_tool(lambda: run_logged(command, 'train', tmp_path / 'log'))

    process = fork(run)
    return process, wait_for(tmp_path / 'pid', process)


def end_of(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'])
def test_a_parent_waits_for_its_child_to_save(parent, tmp_path, name):
    process, child = parent
    number = getattr(signal, name)
    os.kill(process, number)
    assert end_of(process) == 128 + number
    assert (tmp_path / 'saved').read_text() == 'saved'
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_stopped_child_stops_its_parent(parent, tmp_path):
    process, child = parent
    os.kill(child, signal.SIGUSR1)
    assert end_of(process) == 138 and (tmp_path / 'saved').is_file()


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='the kernel of Linux does it')
def test_a_killed_parent_has_its_child_save(parent, tmp_path):
    process, child = parent
    os.kill(process, signal.SIGKILL)
    assert end_of(process) == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while not (tmp_path / 'saved').is_file():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_torchrun_ends_as_its_processes_do(tmp_path):
    script = tmp_path / 'rank.py'
    script.write_text(
        SAVES.format(saved='SAVED', pid='PID')
        .replace("'SAVED'", f'{str(tmp_path)!r} + "/saved" + os.environ["RANK"]')
        .replace("'PID'", f'{str(tmp_path)!r} + "/pid" + os.environ["RANK"]')
    )
    command = [sys.executable, ROOT / 'mmseg_ext/engine/torchrun.py', '--standalone']
    process = subprocess.Popen(
        [*command, '--nproc_per_node=2', script], stderr=subprocess.PIPE, text=True
    )
    for rank in (0, 1):
        wait_for(tmp_path / f'pid{rank}', process.pid)
    process.send_signal(signal.SIGUSR1)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 138 and 'Traceback' not in errors
    assert [(tmp_path / f'saved{rank}').is_file() for rank in (0, 1)] == [True, True]


def test_an_ignored_signal_stays_ignored():
    """``nohup`` and a shell's background jobs."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.handled():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_workers_that_are_left_are_ended():
    context = multiprocessing.get_context('fork')
    worker = context.Process(target=time.sleep, args=(600,), daemon=True)
    worker.start()
    before = signal.getsignal(signal.SIGCHLD)
    signals.end_workers()
    signal.signal(signal.SIGCHLD, before)
    assert worker.exitcode == -signal.SIGKILL


def test_other_pools_of_processes_end_as_ever():
    with signals.handled(), multiprocessing.get_context('fork').Pool(1) as pool:
        assert pool.map(abs, [-1]) == [1]
