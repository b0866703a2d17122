"""Help and errors of arguments come before anything heavy is imported.

No time is asserted, machines differ: ``python tools/benchmark.py start`` measures them.
"""

import json
import re
import subprocess
import sys

import pytest
from support.paths import ROOT

TOOLS = [p for p in sorted((ROOT / 'tools').rglob('*.py')) if 'dev' not in p.parts]
# of tools with commands; what follows asks for the help of each
COMMANDS = {'dataset': ('init', 'check', 'show'), 'label': ('export', 'import')}
# the tool, its wrong arguments, and a part of the error
WRONG = (
    ('train', ['c.py', '--nan', 'go'], "--nan: invalid choice: 'go'"),
    ('train', ['c.py', '--semi', 'cps'], '--semi needs --dataset'),
    ('train', ['c.py', '--seed', '-1'], '--seed must be a number from 0'),
    ('train', ['c.py', '--cfg-options', 'a=1', 'max_iters'], "'max_iters' is not key=value"),
    ('train', ['c.py', '--cfg-options', 'a=[1,(2]'], 'has brackets that do not fit'),
    ('train', ['c.py', '--log-to', 'paper'], '--log-to: invalid choice'),
    ('dataset', ['init', 'd', '--axis', 'up'], '--axis: invalid choice'),
    ('label', ['export', 'd.yml', '--config', 'c.py'], 'belong together'),
    ('kfold', ['c.py'], '--num-folds is needed'),
    ('table', ['mfp'], 'which table?'),
    ('export', ['w', '--format', 'onnx', '--int8'], 'expected at least one argument'),
    ('active_learning', ['c.py', '--dataset', 'd', '--choose', '2'], '--choose needs'),
    ('active_learning', ['c.py', '--dataset', 'd', '--strategy', 'best'], 'invalid choice'),
    ('card', [], 'give a folder'),
    ('benchmark', ['speed'], 'invalid choice'),
    ('download_dataset', ['coco'], 'invalid choice'),
    ('convert', [], '--source, IN and OUT are needed'),
)
HEAVY = ('torch', 'mmengine', 'mmcv', 'mmseg', 'cv2', 'scipy', 'sklearn', 'matplotlib', 'rich',
         'PIL', 'numpy', 'yaml', 'jinja2', 'tifffile', 'prettytable')  # fmt: skip
PROGRAM = f"""
import contextlib, io, json, runpy, sys
from importlib.machinery import ModuleSpec

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in {HEAVY!r}:  # it is there, and must not be imported
            return ModuleSpec(name, self, origin='there', is_package=True)
    def create_module(self, spec):
        raise AssertionError(f'{{sys.argv}} imports {{spec.name}}')
    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Refuse())
for words in json.loads(sys.stdin.read()):
    sys.argv, out = words, io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            runpy.run_path(words[0], run_name='__main__')
            status = 'none'
        except SystemExit as end:
            status = end.code
        except AssertionError as error:
            status = str(error)
    print(json.dumps([status, out.getvalue()]))
"""


def path_of(name):
    (path,) = [path for path in TOOLS if path.stem == name]
    return str(path)


@pytest.fixture(scope='module')
def answers():
    """Status and text of all command lines, which one process parses one after the other."""
    lines = [[str(path), '--help'] for path in TOOLS]
    lines += [[path_of(t), c, '--help'] for t, commands in COMMANDS.items() for c in commands]
    lines += [[path_of(tool), *words] for tool, words, _ in WRONG]
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM], input=json.dumps(lines), capture_output=True, text=True,
        cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(lines) > 40
    return {tuple(line): answer for line, answer in zip(lines, found)}


@pytest.mark.parametrize('path', TOOLS, ids=lambda path: path.stem)
def test_help_imports_nothing_heavy(answers, path):
    status, text = answers[str(path), '--help']
    assert status == 0, status
    assert text.startswith('usage: ') and '--help' in text


@pytest.mark.parametrize('tool', COMMANDS)
def test_help_of_commands_imports_nothing_heavy(answers, tool):
    offered = answers[path_of(tool), '--help'][1]
    assert '{' + ','.join(COMMANDS[tool]) + '}' in offered, 'another command: name it here'
    for command in COMMANDS[tool]:
        status, text = answers[path_of(tool), command, '--help']
        assert status == 0, status
        assert text.startswith('usage: ') and command in text


def test_no_other_tool_has_commands(answers):
    """Behind the commands stands ``...``; a list of choices has ``...]``."""
    helps = {path.stem: answers[str(path), '--help'][1] for path in TOOLS}
    with_commands = {tool for tool, text in helps.items() if re.search(r'\} \.\.\.(?!\])', text)}
    assert with_commands == set(COMMANDS)


@pytest.mark.parametrize(
    'tool, words, told', WRONG, ids=[f'{w[0]} {" ".join(w[1])}' for w in WRONG]
)
def test_a_wrong_argument_is_told_before_anything_heavy_is_imported(answers, tool, words, told):
    status, text = answers[(path_of(tool), *words)]
    assert status in (1, 2), status
    assert told in text.splitlines()[-1] and 'Traceback' not in text
