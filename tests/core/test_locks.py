"""One folder, one run: who is kept out, for how long, and what is left."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from mmseg_ext.apis.run import training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.core import locks
from mmseg_ext.core.locks import LOCK_FILE, locked

pytestmark = pytest.mark.skipif(locks.fcntl is None, reason='Windows has no such locks')


@contextlib.contextmanager
def elsewhere(action, *arguments):
    """A process that runs an action and then waits, forked without our claims."""
    ready, done = os.pipe()
    child = os.fork()
    if child == 0:
        os.environ.pop('MMSEG_EXT_LOCKED', None)
        with contextlib.suppress(BaseException):
            action(*arguments, lambda: (os.write(done, b'x'), time.sleep(600)))
        os._exit(0)
    assert os.read(ready, 1) == b'x'
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(ready)
        os.close(done)


def hold(folder, wait):
    with locked(folder):
        wait()


def hold_shared(folder, wait):
    with locked(folder, shared=True):
        wait()


def test_a_second_run_is_refused_until_the_first_is_gone(tmp_path):
    with elsewhere(hold, tmp_path / 'run'):
        with pytest.raises(ValueError, match='run is in use by another process'):
            with locked(tmp_path / 'run'):
                pytest.fail('two runs')
        with locked(tmp_path / 'run', shared=True):  # a test may look at what it has come to
            pass
    with locked(tmp_path / 'run'):  # a lock goes with its process, however that ends
        assert (tmp_path / 'run' / LOCK_FILE).is_file()


def test_a_training_does_not_start_under_a_test(tmp_path):
    with elsewhere(hold_shared, tmp_path):
        with pytest.raises(ValueError, match='in use by another process'):
            with locked(tmp_path):
                pytest.fail('a training')
        with locked(tmp_path, shared=True):
            pass


def test_a_child_shares_its_parents_lock_and_keeps_it(tmp_path):
    """As a table's training does, also under torchrun, which hands on no open files."""

    def parent(folder, wait):
        with locked(folder):
            child = [sys.executable, '-c', CHILD, str(folder)]
            process = subprocess.Popen(child, stdout=subprocess.PIPE, close_fds=True)
            process.stdout.readline()
            folder.with_name('pid').write_text(str(process.pid))
            wait()

    with elsewhere(parent, tmp_path / 'row') as process:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        orphan = int((tmp_path / 'pid').read_text())
        with pytest.raises(ValueError, match='in use by another process'):
            with locked(tmp_path / 'row'):
                pytest.fail('two trainings')
        os.kill(orphan, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while True:  # nobody waits for an orphan
        with contextlib.suppress(ValueError), locked(tmp_path / 'row'):
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)


# The module itself, without the seconds that the package takes.
CHILD = f"""
import sys, time, types
sys.modules['mmseg_ext'] = package = types.ModuleType('mmseg_ext')
package.__path__ = [{os.path.dirname(os.path.dirname(locks.__file__))!r}]
from mmseg_ext.core.locks import locked
with locked(sys.argv[1]):
    print('ready', flush=True)
    time.sleep(600)
"""


def test_a_process_may_lock_twice(tmp_path):
    with locked(tmp_path), locked(tmp_path), locked(tmp_path / 'fold0'):
        assert len(locks.held()) == 3
    assert locks.held() == () and 'MMSEG_EXT_LOCKED' not in os.environ


def test_nothing_is_left_of_a_folder_that_was_made_for_nothing(tmp_path):
    with locked(tmp_path / 'a' / 'b') as made:
        assert made
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path / 'a'):
        (tmp_path / 'a' / 'result').touch()
    with locked(tmp_path / 'a') as made:
        assert not made
    assert [path.name for path in (tmp_path / 'a').iterdir()] == ['result']


def test_without_locks_on_the_file_system_a_run_goes_on(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks.fcntl, 'flock', refuse)
    with pytest.warns(UserWarning, match='without locks .*see to it'), locked(tmp_path):
        assert locks.held() == ()
    monkeypatch.setattr(locks, 'fcntl', None)  # Windows
    with locked(tmp_path):
        pass


def test_a_training_that_is_refused_leaves_the_other_alone(tmp_path, tiny_config):
    """Even where both began at the same time, and the folder was there for neither."""
    work = tmp_path / 'run'
    cfg = load_config(tiny_config, work_dir=work)
    cfg.load_from = str(tmp_path / 'missing.pth')
    with elsewhere(hold, work):
        with pytest.raises(ValueError, match='run is in use by another process'):
            training.train(cfg)
        assert [path.name for path in work.iterdir()] == [LOCK_FILE]
