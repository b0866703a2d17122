"""Every tool is a command, and nothing else is; how one ends in a group of processes."""

import subprocess
import sys

import pytest
from support.paths import ROOT

from mmseg_ext.apis.cli import console


@pytest.fixture(autouse=True)
def _tools(tmp_path, monkeypatch):
    monkeypatch.setattr(console, 'TOOLS', tmp_path)
    monkeypatch.setattr(console.errors, 'run_tool', lambda main: ('run as a tool', main()))
    inner = tmp_path / 'converters'
    inner.mkdir()
    (tmp_path / 'greet.py').write_text('def main():\n    print("hello")\n    return 3\n')
    (inner / 'fail.py').write_text('def main():\n    raise ValueError("no image")\n')


def test_a_file_is_a_command_with_its_status(capsys):
    assert console.greet() == ('run as a tool', 3)
    assert capsys.readouterr().out == 'hello\n'


def test_a_file_of_a_folder_is_one():
    with pytest.raises(ValueError, match='no image'):
        console.fail()


def test_it_answers_to_the_names_of_tools_only():
    assert {'greet', 'fail'} <= set(dir(console))
    with pytest.raises(AttributeError, match='no tool gret in .*: install mmsegmentation-ext'):
        console.gret  # noqa: B018
    assert not hasattr(console, '__wrapped__')


_GROUP = """
import atexit, sys
import torch.distributed as distributed
from mmseg_ext.apis.cli import run_tool

class Late:
    def __del__(self):
        print('the end of the interpreter')

def main():
    meeting = 'file://' + sys.argv[1]
    distributed.init_process_group('gloo', init_method=meeting, rank=0, world_size=1)
    print('done')
    return 3

late = Late()
atexit.register(print, 'at exit')
run_tool(main)
"""


def test_a_process_of_a_group_ends_without_the_interpreters_end(tmp_path):
    """There torch's threads abort it now and then; status and output are those of the tool."""
    command = [sys.executable, '-c', _GROUP, str(tmp_path / 'meeting')]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (done.returncode, done.stdout) == (3, 'done\nat exit\n'), done.stderr


_COLLECTED = """
import gc, sys
from mmseg_ext.apis.cli import run_tool

usual, passes = gc.get_threshold(), []

def main():
    gc.callbacks.append(lambda phase, facts: passes.append(phase))
    print(gc.isenabled(), gc.get_threshold()[0] > usual[0], gc.get_freeze_count())
    kept = [[] for _ in range(50_000)]
    print(len(passes))
    import mmengine
    print(gc.isenabled(), gc.get_threshold() == usual, gc.get_freeze_count() > 50_000)
    more = [[] for _ in range(50_000)]
    print(len(passes) > 100)

run_tool(main)
"""


def test_imports_are_no_garbage_and_what_comes_after_them_is_looked_at():
    command = [sys.executable, '-c', _COLLECTED]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines() == ['True True 0', '0', 'True True True', 'True'], done.stderr
