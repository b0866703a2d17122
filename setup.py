"""Metadata, dependencies and packaging; read together with the Makefile.

Upstream's distributions of mmengine, mmcv and mmseg and those of the OneDL fork install into the
same folders, and so do ``mmcv`` and ``mmcv-lite``. So none is a hard requirement: choose one extra,
``lite``, ``full`` or ``onedl``. Without any the import says what to install (core/stack.py).
The configs and tools travel inside the package as ``mmseg_ext/.mim``, where
``mmengine.hub`` and ``mim`` look for them: copied into wheels, linked for editable installs.
Every tool is a command, too: ``tools/train.py`` is ``mmseg-ext-train``.
"""

import os
import shutil
import sys
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
UPSTREAM = ['mmengine>=0.10.7,<0.11', 'mmsegmentation>=1.2.2,<1.3']


def read_version() -> str:
    scope: dict = {}
    exec((ROOT / 'mmseg_ext' / 'version.py').read_text(), scope)
    return scope['__version__']


def read_readme() -> str:
    return (ROOT / 'README.md').read_text(encoding='utf-8') if (ROOT / 'README.md').exists() else ''


def add_mim_extension(link: bool) -> None:
    """Place ``configs``, ``tools`` and ``model-index.yml`` under ``mmseg_ext/.mim``."""
    if not link and not {'bdist_wheel', 'sdist', 'install'} & set(sys.argv):
        return
    target = ROOT / 'mmseg_ext' / '.mim'
    if not (ROOT / 'configs').exists():  # building from an sdist, which carries .mim already
        return
    target.mkdir(exist_ok=True)
    for name in ('configs', 'tools', 'model-index.yml'):
        source, place = ROOT / name, target / name
        if place.is_symlink() or place.is_file():
            place.unlink()
        elif place.is_dir():
            shutil.rmtree(place)
        if link:
            place.symlink_to(os.path.relpath(source, target))
        elif source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy(source, place)


def list_commands() -> list:
    """A command for every tool; ``tools/model_converters/x.py`` is ``mmseg-ext-convert-x``."""
    folder = next(p for p in (ROOT / 'tools', ROOT / 'mmseg_ext' / '.mim' / 'tools') if p.exists())
    commands = {'mmseg-ext-env': 'mmseg_ext.env:main'}
    for path in sorted(folder.rglob('*.py')):
        if 'dev' in path.relative_to(folder).parts:  # tests of the package, for who works on it
            continue
        words = ['mmseg-ext', *path.stem.split('_')]
        if path.parent.name.endswith('_converters') and words[1] != 'convert':
            words.insert(1, 'convert')
        command = '-'.join(words)
        if command in commands:
            raise ValueError(f'{path}: another tool is {command} already, choose another name')
        commands[command] = f'mmseg_ext.apis.cli.console:{path.stem}'
    return [f'{command} = {target}' for command, target in commands.items()]


if __name__ == '__main__':
    link = 'develop' in sys.argv or 'editable_wheel' in sys.argv
    linked = (ROOT / 'mmseg_ext' / '.mim' / 'configs').is_symlink()
    add_mim_extension(link)
    setup(
        name='mmsegmentation-ext',
        version=read_version(),
        description='Five semantic-segmentation papers as an MMSegmentation plugin',
        long_description=read_readme(),
        long_description_content_type='text/markdown',
        license='Apache-2.0',
        license_files=['LICENSE'],
        packages=find_packages(include=['mmseg_ext', 'mmseg_ext.*']),
        include_package_data=True,
        python_requires='>=3.10,<3.14',
        # Lower bounds are versions that tests were run with (docs/install.md), but those of torch
        # and torchvision, mmpretrain and timm. What fails below them, or with them, is said. No
        # upper bound where each year or release has a new first number.
        # tests/test_requirements.py compares the lists with the imports.
        install_requires=[
            'torch>=2.6,<2.15',
            'numpy>=2.0,<3',
            # mmengine and mmcv ask for this one of OpenCV's distributions: opencv-python-headless
            # would install into the same folder. Before 4.13 it reads no GIF, or turns
            # WebP otherwise; before 5 enlarged masks take the other of two equally near pixels.
            'opencv-python>=4.13,<6',
            'Pillow>=10.1',  # before 13 TIFF files in YCbCr are refused
            'tifffile>=2024.5.22',
            'matplotlib>=3.9,<4',
            'prettytable>=3.14,<4',  # add_divider
            'jinja2>=3.1,<4',
            'pyyaml>=6.0,<7',
            'yapf>=0.43,<1',  # mmengine's, which lays configs out with it: once for each
            'rich>=13,<16',
            'scikit-learn>=1.6,<2',
            'scipy>=1.13,<2',  # before 1.15 quantiles of t differ from the tenth digit on
            'setuptools>=64,<82',  # mmengine imports pkg_resources, which 82 has not
            'ftfy>=6.0,<7',  # mmseg imports it and regex, and declares neither
            'regex>=2022.1.18',
        ],
        extras_require={
            'lite': [*UPSTREAM, 'mmcv-lite>=2.1,<2.2'],
            'full': [*UPSTREAM, 'mmcv>=2.1,<2.2'],
            'onedl': [
                'onedl-mmengine>=0.10.12,<0.11',
                'onedl-mmcv>=2.3.6,<2.4',
                'onedl-mmsegmentation>=1.4.2,<1.5',
            ],
            # other people's backbones and weights; each torchvision fits one torch
            'pretrain': [
                'mmpretrain>=1.2,<1.3',
                'timm>=1.0,<2',
                'torchvision>=0.21,<0.30',
                'safetensors>=0.4,<1',
            ],
            'export': [
                'onnx>=1.17,<2',
                'onnxscript>=0.6,<1',
                'onnxruntime>=1.20,<2',
                'openvino>=2026.4,<2027',
            ],
            # what tools/benchmark.py compares with, as in the Makefile's .venv-peers
            'peers': [
                'monai>=1.4,<2',
                'segmentation-models-pytorch>=0.6,<0.7',
                'transformers>=5.24,<6',
                'ultralytics>=8.4,<9',
            ],
            # programs that show curves
            'track': ['tensorboard>=2.18,<3', 'wandb>=0.19,<1', 'mlflow-skinny>=2.19,<4'],
            'crf': ['pydensecrf2>=1.1,<2'],
            'superpixels': ['scikit-image>=0.22,<0.27'],
            'nifti': ['nibabel>=5.2,<6'],
            'test': ['pytest>=9,<10', 'pytest-xdist>=3.8,<4', 'monai>=1.4,<2'],
            'docs': [
                'mkdocs>=1.6,<2',
                'mkdocs-material>=9.6,<10',
                'mkdocstrings[python]>=1,<2',
                'pymdown-extensions>=10.14,<14',
                'black>=25,<27',  # for signatures; ruff would be a process for each
            ],
            'lint': ['ruff>=0.17,<0.18', 'mypy>=2.4,<3', 'pre-commit>=4.6,<5'],
            # other people's code to compare with, see "make test-full"
            'oracle-mmcv': ['pydensecrf2>=1.1,<2', 'torch==2.13.0'],
            'oracle-torch214': ['torch==2.14.1', 'torchvision==0.29.1'],
        },
        entry_points={'console_scripts': list_commands()},
    )
    if linked and not link:  # a wheel was built in an editable checkout: link again
        add_mim_extension(True)
