"""The environment report: honest about what is missing, and runs without torch and mmcv."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_ext import env

ROOT = Path(__file__).resolve().parents[1]


def bare(*arguments: str) -> subprocess.CompletedProcess:
    """This interpreter without any installed package, ours from the checkout."""
    return subprocess.run(
        [sys.executable, '-S', *arguments], capture_output=True, text=True, timeout=60,
        env={'PYTHONPATH': str(ROOT), 'PATH': '/usr/bin:/bin'}, cwd='/')  # fmt: skip


def test_report_runs_with_nothing_installed():
    done = bare('-m', 'mmseg_ext.env')
    assert done.returncode == 1, done.stderr
    needed = done.stdout.split('is needed')[1]
    for cure in ('torch>=2.1,<2.15', 'mmcv-lite>=2.1,<2.2', 'ftfy regex', 'setuptools<82'):
        assert cure in needed
    assert 'Traceback' not in done.stdout + done.stderr


def test_import_without_mmcv_is_one_clear_sentence():
    done = bare('-c', 'import mmseg_ext')
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith('ImportError: mmseg_ext needs mmcv or mmcv-lite')
    assert 'pip install' in last


def test_report_here_finds_everything_needed(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['env'])
    monkeypatch.setattr(env, 'check_ourselves', lambda: env.Check('import', True, ''))
    assert env.main() == 0
    shown = capsys.readouterr().out
    assert 'is needed\n  -' in shown
    import torch

    assert torch.__version__ in shown


@pytest.mark.parametrize(
    ('versions', 'ok', 'note'),
    [
        ({'mmcv-lite': '2.1.0'}, True, 'mmcv-lite 2.1.0'),
        ({'mmcv': '2.1.0'}, True, 'mmcv 2.1.0'),
        ({'mmcv': '2.1.0', 'mmcv-lite': '2.1.0'}, False, 'both'),
        ({'mmcv': '2.2.0'}, False, 'refuses'),
        ({}, False, 'not installed'),
    ],
)
def test_mmcv_is_one_of_two(monkeypatch, versions, ok, note):
    monkeypatch.setattr(env, 'version_of', versions.get)
    check = env.check_mmcv()
    assert check.ok is ok and note in check.note and check.needed


@pytest.mark.parametrize(
    ('version', 'ok'),
    [('2.0.1', False), ('2.1.0', True), ('2.14.1+cu13', True), ('2.15.0', False), (None, False)],
)
def test_versions_are_compared_as_numbers(monkeypatch, version, ok):
    monkeypatch.setattr(env, 'version_of', lambda name: version)
    assert env.check_package('json', 'torch', '2.1', '2.15').ok is ok


def test_a_check_that_breaks_is_a_line_of_the_report():
    def check_broken():
        raise RuntimeError('operator torchvision::nms does not exist')

    assert env._run(check_broken).note == 'operator torchvision::nms does not exist'


def test_folders_are_checked(monkeypatch, tmp_path):
    monkeypatch.setenv('MMSEG_EXT_DATA', str(tmp_path / 'absent'))
    assert not env.check_folder('real data', 'MMSEG_EXT_DATA').ok
    monkeypatch.setenv('MMSEG_EXT_DATA', str(tmp_path))
    assert env.check_folder('real data', 'MMSEG_EXT_DATA').ok
