"""The package as its users get it: a wheel in an environment of its own, away from the checkout.

``make test`` installs the wheel beside the packages of the running environment. ``make test-full``
makes an environment from nothing but the package index, which takes minutes, and adds openmim.
"""

import configparser
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.paths import ROOT

import mmseg_ext

NAME = 'fmsi/fmsi_mobilenetv2_camvid180.py'
TOOLS = [p for p in sorted((ROOT / 'tools').rglob('*.py')) if 'dev' not in p.parts]
OPTIONS = ['-q', '--disable-pip-version-check']

LOOK_UP = f"""
import sys
from pathlib import Path

import mmseg_ext
from mmengine import hub
from mmengine.config import Config
from mmseg_ext.apis.run.outcome.facts import git

home = Path(mmseg_ext.__file__).parent
assert home.is_relative_to(sys.prefix), home

cfg = hub.get_config('mmseg_ext::{NAME}')
assert Path(cfg.filename) == home / '.mim/configs/{NAME}', cfg.filename

Path('inherits.py').write_text("_base_ = 'mmseg_ext::{NAME}'\\ncrop_size = (1, 2)\\n")
mine = Config.fromfile('inherits.py')
assert mine.crop_size == (1, 2)
assert mine.model.decode_head.type == cfg.model.decode_head.type == 'FMSIHead'
assert mine.model._scope_ == 'mmseg_ext'  # mmengine adds it, and our registries answer to it

assert git('rev-parse', 'HEAD') is None, 'took a commit of the folder around for ours'
"""

INFER = f"""
import mmseg_ext
import numpy as np
import torch
from mmengine import hub
from mmseg.apis import MMSegInferencer

model = hub.get_model('mmseg_ext::{NAME}').eval()
assert type(model.decode_head).__module__ == 'mmseg_ext.models.decode_heads.fmsi_head'
with torch.no_grad():  # trained weights have a favourite class, too
    model.decode_head.conv_seg.bias[3] = 100
meta = dict(dataset_meta=dict(classes=['c'] * 11, palette=[[k, k, k] for k in range(11)]))
torch.save(dict(state_dict=model.state_dict(), meta=meta), 'weights.pth')

name = '{Path(NAME).stem}'
assert name in MMSegInferencer.list_models('mmseg_ext')
try:
    MMSegInferencer(name, scope='mmseg_ext')
except FileNotFoundError as error:
    assert f'published weights of {{name}} (give weights=FILE' in str(error), error
else:
    raise AssertionError('guessed with random weights')
infer = MMSegInferencer(name, weights='weights.pth', scope='mmseg_ext', device='cpu')
labels = infer(np.zeros((64, 96, 3), np.uint8))['predictions']
assert labels.shape == (64, 96) and (labels == 3).all()
"""


def call(*command: object, cwd: Path, check: bool = True) -> subprocess.CompletedProcess:
    """Run a command as a user of the wheel would: nothing of the checkout in reach."""
    ours = ('PYTHONPATH', 'VIRTUAL_ENV', 'MMSEG_EXT_DATA', 'MMSEG_EXT_WEIGHTS')
    env = {name: value for name, value in os.environ.items() if name not in ours}
    env |= {'OMP_NUM_THREADS': '1', 'MMSEG_EXT_PROGRESS': '0'}
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, cwd=cwd, timeout=1800, env=env
    )
    if check and done.returncode != 0:
        raise AssertionError(f'{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}')
    return done


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, so that the checkout stays linked."""
    source = tmp_path_factory.mktemp('source')
    skip = shutil.ignore_patterns('.mim', '__pycache__', '*.egg-info')
    for name in ('mmseg_ext', 'configs', 'tools'):
        shutil.copytree(ROOT / name, source / name, ignore=skip)
    for name in ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'model-index.yml', 'LICENSE'):
        shutil.copy(ROOT / name, source)
    call(sys.executable, '-m', 'pip', 'wheel', *OPTIONS, '--no-deps', '--no-build-isolation',
         '--no-index', '-w', source / 'out', source, cwd=source)  # fmt: skip
    (path,) = (source / 'out').glob('*.whl')
    return path


@pytest.fixture(scope='module')
def names(wheel) -> set:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory) -> Path:
    """The programs of an environment with the wheel, in a git checkout that is not ours."""
    project = tmp_path_factory.mktemp('project')
    subprocess.run(['git', 'init', '-q', project], check=True)
    subprocess.run(
        ['git', '-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '-qm', '.', '--allow-empty'],
        cwd=project, check=True)  # fmt: skip
    venv.create(project / 'env', symlinks=True)
    programs = project / 'env' / 'bin'
    (site,) = (project / 'env').rglob('site-packages')
    # After the wheel's own folder, and without what a .pth file in there would add.
    lent = Path(sysconfig.get_path('purelib'))
    (site / 'borrowed.pth').write_text(f'{lent}\n')
    shim = lent / 'distutils-precedence.pth'  # setuptools' distutils, which Python 3.12 has not
    if shim.exists():
        shutil.copy(shim, site)
    call(programs / 'python', '-m', 'pip', 'install', *OPTIONS, '--no-deps', '--no-index',
         '--ignore-installed', wheel, cwd=project)  # fmt: skip
    return programs


MINE = """
_base_ = 'mmseg_ext::segnet/resegnet_noskip_camvid180.py'
train_dataloader = dict(batch_size=2, {loader})
val_dataloader = dict({loader})
test_dataloader = dict({loader})
model = dict(backbone=dict(widths=(4, 4, 8)), decode_head=dict(in_channels=4))
"""


@pytest.fixture
def mine(tmp_path) -> Path:
    """A user's config that inherits ours, and two made-up images per split."""
    for split in ('train', 'val', 'test'):
        for kind in ('img_dir', 'ann_dir'):
            folder = tmp_path / 'data' / kind / split
            folder.mkdir(parents=True)
            for name, value in dict(a=3, b=7).items():
                label = np.full((48, 64), value, np.uint8)
                if kind == 'ann_dir':
                    cv2.imwrite(str(folder / f'{name}.png'), label)
                else:
                    cv2.imwrite(str(folder / f'{name}.jpg'), label * 30)
    dataset = f"dict(data_root='{tmp_path}/data', indices=None)"  # all of the two
    loader = f'num_workers=0, persistent_workers=False, dataset={dataset}'
    (tmp_path / 'mine.py').write_text(MINE.format(loader=loader))
    return tmp_path / 'mine.py'


def test_a_wheel_carries_configs_and_tools(wheel, names):
    assert wheel.name.startswith(f'mmsegmentation_ext-{mmseg_ext.__version__}-py3-none-any')
    files = [path for name in ('configs', 'tools') for path in (ROOT / name).rglob('*.*')]
    ours = [path for path in files if path.suffix in ('.py', '.yml', '.sh', '.txt')]
    assert len(ours) > 200 and ROOT / 'tools/dist_train.sh' in ours
    expected = {f'mmseg_ext/.mim/{path.relative_to(ROOT).as_posix()}' for path in ours}
    assert expected | {'mmseg_ext/.mim/model-index.yml'} <= names
    templates = {p.name for p in (ROOT / 'mmseg_ext/apis/draw/templates').iterdir()}
    assert templates == {'blocks.html', *(f'{page}.{kind}' for page in ('page', 'serve')
                                          for kind in ('css', 'html', 'js'))}  # fmt: skip
    assert {f'mmseg_ext/apis/draw/templates/{name}' for name in templates} <= names


def test_a_wheel_has_one_package(names):
    tops = {name.split('/')[0] for name in names}
    assert tops == {'mmseg_ext', f'mmsegmentation_ext-{mmseg_ext.__version__}.dist-info'}
    assert not [name for name in names if 'work_dirs' in name or name.endswith('.pyc')]


def test_a_wheel_and_its_source_carry_the_licence(wheel):
    licence = (ROOT / 'LICENSE').read_bytes()
    archive = zipfile.ZipFile(wheel)
    (metadata,) = [name for name in archive.namelist() if name.endswith('.dist-info/METADATA')]
    lines = archive.read(metadata).decode().splitlines()
    assert 'License-File: LICENSE' in lines
    assert {'License: Apache-2.0', 'License-Expression: Apache-2.0'} & set(lines)
    (held,) = [n for n in archive.namelist() if '.dist-info/' in n and n.endswith('/LICENSE')]
    assert archive.read(held) == licence
    source = wheel.parents[1]
    call(sys.executable, 'setup.py', '-q', 'sdist', '--dist-dir', 'sdist', cwd=source)
    (path,) = (source / 'sdist').glob('*.tar.gz')
    with tarfile.open(path) as files:
        member = files.extractfile(f'{path.name.removesuffix(".tar.gz")}/LICENSE')
        assert member is not None and member.read() == licence


@pytest.fixture(scope='module')
def commands(wheel) -> dict:
    """What each command calls, as the wheel says."""
    parser = configparser.ConfigParser(delimiters='=')
    (entry,) = [n for n in zipfile.ZipFile(wheel).namelist() if n.endswith('entry_points.txt')]
    parser.read_string(zipfile.ZipFile(wheel).read(entry).decode())
    return dict(parser['console_scripts'])


def test_every_tool_is_a_command(commands):
    """A new file in tools/ gets its command by itself, and must have what the command calls."""
    commands = dict(commands)
    assert commands.pop('mmseg-ext-env') == 'mmseg_ext.env:main'
    assert len(TOOLS) >= 18
    # the attribute is the file's name, which "mim run" searches for: it must be unique, too
    assert sorted(commands.values()) == sorted(
        f'mmseg_ext.apis.cli.console:{p.stem}' for p in TOOLS
    )
    assert len({p.stem for p in TOOLS}) == len(TOOLS)
    assert commands['mmseg-ext-train'].endswith(':train')
    assert commands['mmseg-ext-class-weights'].endswith(':class_weights')
    assert commands['mmseg-ext-convert-deeplabv2'].endswith(':deeplabv2')
    for path in TOOLS:
        assert '\ndef main() -> ' in path.read_text(), f'{path}: its command calls main()'


def test_configs_models_and_inferencer_outside_the_checkout(installed, tmp_path):
    done = call(installed / 'python', '-c', LOOK_UP + INFER, cwd=tmp_path)  # one start, not two
    assert 'Failed to search registry' not in done.stdout + done.stderr


def test_commands_outside_the_checkout(installed, mine):
    folder = mine.parent
    call(installed / 'mmseg-ext-train', 'mine.py', '--cfg-options', 'max_iters=2', cwd=folder)
    checkpoint = torch.load(folder / 'work_dirs/mine/iter_2.pth', weights_only=True)
    assert checkpoint['meta']['iter'] == 2
    assert checkpoint['state_dict']['decode_head.conv_seg.weight'].shape == (11, 4, 1, 1)
    done = call(installed / 'mmseg-ext-train', 'nothing.py', cwd=folder, check=False)
    assert done.returncode == 1 and done.stderr.startswith('error: no config nothing.py')


@pytest.mark.slow
@pytest.mark.parametrize('path', TOOLS, ids=lambda p: p.stem)
def test_every_command_starts(installed, commands, tmp_path, path):
    (program,) = [name for name, what in commands.items() if what.endswith(f':{path.stem}')]
    done = call(installed / program, '--help', cwd=tmp_path)
    assert done.stdout.startswith(f'usage: {program}')


def run_commands(programs: Path, folder: Path) -> None:
    """From a config to a prediction and a report, with the commands alone."""
    call(programs / 'mmseg-ext-env', '--brief', cwd=folder)
    call(programs / 'mmseg-ext-train', 'mine.py', '--cfg-options', 'max_iters=2', cwd=folder)
    call(programs / 'mmseg-ext-test', 'mine.py', cwd=folder)
    run = folder / 'work_dirs' / 'mine'
    result = json.loads((run / 'results.json').read_text())
    assert result['dataset']['num_images'] == 2 and result['commit'] is None
    image = folder / 'data/img_dir/test/a.jpg'
    call(programs / 'mmseg-ext-predict', 'mine.py', run / 'iter_2.pth', image, '--out', 'out',
         cwd=folder)  # fmt: skip
    assert cv2.imread(str(folder / 'out/masks/a.png'), cv2.IMREAD_UNCHANGED).shape[:2] == (48, 64)
    call(programs / 'mmseg-ext-report', run, '--out', 'report.html', cwd=folder)
    assert '</html>' in (folder / 'report.html').read_text()


def run_mim(programs: Path, folder: Path) -> None:
    """The same with openmim, which takes the distribution's name."""
    mim, package, weights = programs / 'mim', 'mmsegmentation-ext', 'mim/iter_2.pth'
    call(mim, 'train', package, 'mine.py', '--work-dir', 'mim', '--cfg-options', 'max_iters=2',
         cwd=folder)  # fmt: skip
    call(mim, 'test', package, 'mine.py', '--checkpoint', weights, '--work-dir', 'mim', cwd=folder)
    assert (folder / 'mim' / 'results.json').is_file()
    image = folder / 'data/img_dir/test/b.jpg'
    call(mim, 'run', package, 'predict', 'mine.py', weights, image, '--out', 'mim/out', cwd=folder)
    assert (folder / 'mim/out/masks/b.png').is_file()
    # a config of the package by its name alone, as far as its data, which are not there
    done = call(mim, 'train', package, 'resegnet_camvid180.py', cwd=folder, check=False)
    assert '.mim/configs/segnet/resegnet_camvid180.py instead' in done.stdout
    assert 'error: data/camvid: no such folder' in done.stderr


@pytest.mark.slow
def test_a_fresh_environment(wheel, mine):
    """One made from the package index alone; mim last, as it asks for an old setuptools."""
    folder = mine.parent
    call(sys.executable, '-m', 'venv', 'env', cwd=folder)
    programs = folder / 'env' / 'bin'
    install = [programs / 'python', '-m', 'pip', 'install', *OPTIONS]
    number = torch.__version__.split('+')[0]
    done = call(*install, f'torch=={number}', 'setuptools<82', 'wheel', cwd=folder, check=False)
    if 'No matching distribution found' in done.stderr:
        pytest.skip(f'needs a package index with torch {number}')
    assert done.returncode == 0, done.stderr[-3000:]
    call(*install, '--no-build-isolation', f'{wheel}[lite]', cwd=folder)
    done = call(programs / 'python', '-m', 'pip', 'check', cwd=folder)
    assert 'No broken requirements' in done.stdout
    call(programs / 'python', '-c', LOOK_UP + INFER, cwd=folder)
    run_commands(programs, folder)
    if sys.version_info < (3, 12):  # openmim needs pkgutil.ImpImporter, which later ones lack
        call(*install, 'openmim', cwd=folder)
        run_mim(programs, folder)
