"""What the system refuses: one line with file, reason and remedy, and nothing half-written."""

import errno
import io
import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny import write_tiny_config

from mmseg_ext.apis import cli
from mmseg_ext.core import refusals, words
from mmseg_ext.core.files import replacing, write_json


def by_json(path):
    write_json(path, list(range(50_000)))


def by_arrays(path):
    with replacing(path) as unfinished, unfinished.open('wb') as stream:
        np.savez(stream, a=np.arange(50_000))


def by_torch(path):
    torch.save(dict(a=torch.arange(50_000)), path)


def by_hand(path):
    with open(path, 'w') as stream:
        stream.write('x' * 200_000)


def by_log(path):
    with open(path, 'ab') as stream:
        stream.write(b'x' * 200_000)
        stream.flush()


@pytest.fixture
def small_files():
    """The system refuses files above 50 kB, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def end_of(main, capsys):
    with pytest.raises(SystemExit) as end:
        cli.run_tool(main)
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize('write', [by_json, by_arrays, by_torch, by_hand, by_log])
def test_a_write_that_fails_names_the_file(write, small_files, tmp_path, capsys):
    path = tmp_path / 'results.bin'
    status, errors = end_of(lambda: write(path), capsys)
    assert status == 1
    assert errors.startswith(f'error: {path}: File too large: ') and 'ulimit -f' in errors
    assert errors.count('\n') == 1
    if write in (by_json, by_arrays):
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    'name, remedy',
    [
        ('ENOSPC', 'free some space'),
        ('EDQUOT', 'your share of this disk is used up'),
        ('EROFS', 'write to another folder'),
        ('EIO', 'does not answer'),
        ('ENAMETOOLONG', 'shorter'),
        ('EACCES', 'rights'),
        ('ESTALE', 'mount it again'),
    ],
)
def test_each_reason_has_its_remedy(name, remedy, tmp_path, capsys, monkeypatch):
    number = getattr(errno, name)

    def refuse(handle):
        raise OSError(number, os.strerror(number))

    write_json(tmp_path / 'a.json', 'old')
    monkeypatch.setattr(os, 'fsync', refuse)
    status, errors = end_of(lambda: write_json(tmp_path / 'a.json', 'new'), capsys)
    assert status == 1
    assert errors.startswith(f'error: {tmp_path}/a.json: {os.strerror(number)}: ')
    assert remedy in errors and 'Traceback' not in errors
    assert [path.read_text() for path in tmp_path.iterdir()] == ['"old"\n']


def test_the_name_is_the_user_s(tmp_path):
    """Not that of the unfinished file beside it."""
    (tmp_path / 'file').touch()
    with pytest.raises(OSError) as caught:
        write_json(tmp_path / 'file' / 'a.json', 1)
    assert caught.value.filename == str(tmp_path / 'file')
    long = tmp_path / ('n' * 300)
    with pytest.raises(OSError) as caught:
        write_json(long, 1)
    assert caught.value.filename == str(long) and caught.value.errno == errno.ENAMETOOLONG


def test_a_mistake_of_ours_stays_a_traceback():
    def close_twice():
        handle = os.open(os.devnull, os.O_RDONLY)
        os.close(handle)
        os.close(handle)

    with pytest.raises(OSError, match='Bad file descriptor'):
        cli.run_tool(close_twice)
    with pytest.raises(RuntimeError, match='shapes do not fit'):
        cli.run_tool(lambda: (_ for _ in ()).throw(RuntimeError('shapes do not fit')))


def test_a_reader_that_has_enough_is_no_error(monkeypatch, capsys):
    def main():
        raise BrokenPipeError(errno.EPIPE, 'Broken pipe')

    assert end_of(main, capsys) == (141, '')


def test_other_errors_are_as_they_were():
    error = FileNotFoundError('no config a.py')
    assert refusals.as_refusal(error) is error and words.message_of(error) == 'no config a.py'
    assert refusals.as_refusal(ValueError('x')).args == ('x',)
    missing = FileNotFoundError(errno.ENOENT, 'No such file or directory', 'a.txt')
    assert words.message_of(missing) == 'a.txt: No such file or directory'
    with io.BytesIO() as stream:  # no file that the user knows
        assert stream and words.message_of(OSError(errno.ENOSPC, 'No space left')).startswith(
            'No sp'
        )


LIMIT = """
import resource
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

@HOOKS.register_module()
class Full(Hook):
    def after_train_iter(self, runner, **kwargs):
        if runner.iter == 4:  # after the checkpoint of iteration 3, before that of 6
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
"""


def test_a_training_on_a_full_disk_keeps_its_last_checkpoint(tmp_path, tiny_data, python_tool):
    (tmp_path / 'full_hook.py').write_text(LIMIT)
    extra = f'import sys\nsys.path.insert(0, {str(tmp_path)!r})\n'
    extra += "custom_imports = dict(imports=['mmseg_ext', 'full_hook'])\n"
    extra += "custom_hooks = [dict(type='IterSeedHook'), dict(type='Full')]\n"
    config = write_tiny_config(tmp_path / 'full.py', tiny_data, extra=extra)
    work = tmp_path / 'work'
    command = ['tools/train.py', config, '--work-dir', work, '--deterministic']
    done = python_tool(*command, check=False)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert last.startswith(f'error: {work}/iter_6.pth: File too large: ')
    names = sorted(path.name for path in work.iterdir() if path.is_file())
    assert names == ['best_mIoU_iter_3.pth', 'full.py', 'iter_3.pth', 'last_checkpoint']
    roomy = config.read_text().replace(", dict(type='Full')", '')
    config.write_text(roomy)
    python_tool(*command, '--resume')
    python_tool(*command[:3], tmp_path / 'whole', *command[4:])
    resumed, whole = (
        torch.load(Path(folder, 'iter_6.pth'), weights_only=True)['state_dict']
        for folder in (work, tmp_path / 'whole')
    )
    assert all(torch.equal(resumed[key], value) for key, value in whole.items())
