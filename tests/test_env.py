"""The environment report: honest about what is missing, and runs without torch and mmcv."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

from mmseg_ext import env


def bare(*arguments: str) -> subprocess.CompletedProcess:
    """This interpreter without any installed package, ours from the checkout."""
    return subprocess.run(
        [sys.executable, '-S', *arguments], capture_output=True, text=True, timeout=60,
        env={'PYTHONPATH': str(ROOT), 'PATH': '/usr/bin:/bin'}, cwd='/')  # fmt: skip


def test_report_runs_with_nothing_installed():
    done = bare('-m', 'mmseg_ext.env')
    assert done.returncode == 1, done.stderr
    needed = done.stdout.split('is needed')[1]
    for cure in ('torch>=2.6,<2.15', 'mmcv-lite>=2.1,<2.2', 'ftfy regex', 'setuptools<82'):
        assert cure in needed
    assert 'Traceback' not in done.stdout + done.stderr


@pytest.mark.parametrize('arguments', [(), ('mmseg_ext.env',)])  # which a script may have
def test_import_without_mmcv_is_one_clear_sentence(arguments):
    done = bare('-c', 'import mmseg_ext', *arguments)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith(
        'error: mmseg_ext needs mmengine, mmcv, mmseg, and mmengine, mmcv, mmseg'
    )
    assert 'pip install "mmsegmentation-ext[lite]"' in line


def test_a_tool_beside_two_stacks_ends_with_one_line(tmp_path):
    for name in ('mmcv', 'onedl-mmcv'):
        folder = tmp_path / f'{name.replace("-", "_")}-2.1.0.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: 2.1.0\n')
    done = subprocess.run(
        [sys.executable, '-S', str(ROOT / 'tools/train.py'), 'any.py'], capture_output=True,
        text=True, timeout=60, env={'PYTHONPATH': f'{ROOT}:{tmp_path}', 'PATH': '/usr/bin:/bin'},
        cwd=tmp_path,
    )  # fmt: skip
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and not done.stdout
    assert line.startswith('error: two stacks are installed into the same folders, mmcv 2.1.0 and ')
    assert 'pip uninstall mmcv onedl-mmcv' in line


def test_report_here_finds_everything_needed(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['env'])
    monkeypatch.setattr(env, 'check_ourselves', lambda: env.Check('import', True, ''))
    assert env.main() == 0
    shown = capsys.readouterr().out
    assert 'is needed\n  -' in shown
    import torch

    version = importlib.metadata.version('torch')  # of PyPI's wheels without their +cu130
    assert torch.__version__ in (version, f'{version}+cu130') and version in shown


@pytest.mark.parametrize(
    ('versions', 'ok', 'name', 'note'),
    [
        ({'mmcv-lite': '2.1.0'}, True, 'mmcv-lite>=2.1,<2.2', '2.1.0'),
        ({'mmcv': '2.1.0'}, True, 'mmcv>=2.1,<2.2', '2.1.0'),
        ({'onedl-mmcv': '2.3.6'}, True, 'onedl-mmcv>=2.3.6,<2.4', '2.3.6'),
        ({'mmcv': '2.1.0', 'mmcv-lite': '2.1.0'}, False, 'mmcv-lite or mmcv', 'both'),
        ({'mmcv': '2.2.0'}, False, 'mmcv>=2.1,<2.2', 'pip install "mmcv>=2.1,<2.2"'),
        ({'onedl-mmengine': '0.10.12'}, False, 'onedl-mmcv>=2.3.6,<2.4', 'not installed'),
        ({}, False, 'mmcv-lite>=2.1,<2.2', 'not installed'),
    ],
)
def test_mmcv_is_one_of_three(monkeypatch, installed_are, versions, ok, name, note):
    monkeypatch.setattr(env, '_try_import', lambda module: None)
    installed_are(versions)
    check = env.check_part('mmcv')
    assert (check.ok, check.name) == (ok, name) and note in check.note and check.needed


def test_two_stacks_are_a_line_of_the_report(installed_are):
    installed_are({'mmcv-lite': '2.1.0', 'onedl-mmcv': '2.3.6'})
    check = env.check_stack()
    assert not check.ok and check.needed and 'mmcv-lite 2.1.0 and onedl-mmcv 2.3.6' in check.note
    installed_are({'onedl-mmcv': '2.3.6'})
    assert env.check_stack() == env.Check('one stack', True, 'onedl-mmcv 2.3.6', True)


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


@pytest.mark.parametrize(
    ('torch_version', 'torchvision'),
    [  # as released
        ('2.0.0', '0.15.0'),
        ('2.1.2', '0.16.2'),
        ('2.5.1+cu121', '0.20.1'),
        ('2.7.1', '0.22.1'),
        ('2.9.0', '0.24.0'),
        ('2.13.0+cpu', '0.28.0'),
        ('2.14.1+cu130', '0.29.1'),
    ],
)
def test_the_torchvision_of_a_torch(torch_version, torchvision):
    assert env.torchvision_of(torch_version) == torchvision


@pytest.mark.parametrize('version', ['1.13.1', '2.14.0a0', '2.14', 'none'])
def test_an_unknown_torch_has_no_torchvision(version):
    with pytest.raises(ValueError, match='no torchvision is known for torch'):
        env.torchvision_of(version)


def test_the_rule_is_what_torchvision_here_asks_for():
    try:
        needs = importlib.metadata.requires('torchvision')
    except importlib.metadata.PackageNotFoundError:
        pytest.skip('torchvision is not installed')
    from packaging.requirements import Requirement

    (pin,) = [need for need in map(Requirement, needs) if need.name == 'torch']
    here = env.version_of('torchvision').split('+')[0]
    major, minor, patch = here.split('.')  # of torch: the rule, backwards
    wanted = f'{int(major) + 2}.{int(minor) - 15}.{patch}'
    assert env.torchvision_of(wanted) == here and pin.specifier.contains(wanted)


def _broken(folder: Path, package: str) -> str:
    """A package that fails as torchvision does beside another torch."""
    (folder / package).mkdir()
    (folder / package / '__init__.py').write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    return str(folder)


def _forget_torchvision(monkeypatch):
    for name in [n for n in sys.modules if n.split('.')[0] == 'torchvision']:
        monkeypatch.delitem(sys.modules, name)


def test_a_torchvision_of_another_torch_names_the_right_one(monkeypatch, tmp_path):
    _forget_torchvision(monkeypatch)
    monkeypatch.syspath_prepend(_broken(tmp_path, 'torchvision'))
    versions = {'torch': '2.13.0+cpu', 'torchvision': '0.29.1'}
    monkeypatch.setattr(env, 'version_of', versions.get)
    with pytest.raises(ImportError) as caught:
        env.import_torchvision('MaskRCNNSegmentor')
    assert str(caught.value) == (
        'MaskRCNNSegmentor: torchvision 0.29.1 does not load (operator '
        'torchvision::nms does not exist); torch 2.13.0+cpu needs torchvision 0.28.0: pip install '
        'torchvision==0.28.0 --index-url https://download.pytorch.org/whl/cpu'
    )
    check = env.check_torchvision()
    assert not check.ok and 'torchvision==0.28.0' in check.note


def test_a_missing_torchvision_names_the_right_one(monkeypatch):
    _forget_torchvision(monkeypatch)
    monkeypatch.setitem(sys.modules, 'torchvision', None)  # as if it were not installed
    monkeypatch.setattr(env, 'version_of', {'torch': '2.14.1'}.get)
    words = r'^x: torchvision is missing; .* pip install torchvision==0\.29\.1$'
    with pytest.raises(ImportError, match=words):
        env.import_torchvision('x')
    monkeypatch.setattr(env, 'version_of', {'torch': '1.13.1'}.get)
    with pytest.raises(ImportError, match='install torch and torchvision together'):
        env.import_torchvision('x')


def test_import_beside_a_broken_torchvision_is_one_clear_sentence(tmp_path, python_tool):
    paths = [_broken(tmp_path, 'timm'), str(ROOT)]  # which mmseg imports if it is there
    done = python_tool(
        '-c',
        'import mmseg_ext, mmengine',
        check=False,
        env=dict(PYTHONPATH=':'.join(paths)),
        cwd=tmp_path,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith('ImportError: the installed torchvision does not fit torch (operator')
    assert 'torch' in last and 'or uninstall it' in last
