"""What this machine has, what works, what does not and why: ``python -m mmseg_ext.env``.

Imports nothing but the standard library at the top, so that it can report a missing torch or
mmcv. Everything else is tried in turn, and its own words are printed when it fails.
"""

import argparse
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, Optional

from .core.stack import STACKS, clash, describe_stack, name_of, stack_of, version_of

DISTRIBUTIONS = (
    'torch',
    'torchvision',
    'numpy',
    'mmengine',
    'mmcv',
    'mmcv-lite',
    'mmsegmentation',
    'onedl-mmengine',
    'onedl-mmcv',
    'onedl-mmsegmentation',
    'mmpretrain',
    'timm',
    'opencv-python',
    'setuptools',
    'pydensecrf2',
    'onnx',
    'onnxruntime',
    'scikit-learn',
    'monai',
)


class Check(NamedTuple):
    """One line of the report.

    Attributes:
        name: What is asked.
        ok: The answer.
        note: Version or way when it works, reason and cure when it does not.
        needed: Whether the package is unusable without it.
    """

    name: str
    ok: bool
    note: str
    needed: bool = False


def _numbers(version: str) -> tuple:
    digits = version.split('+')[0].split('.')[:2]
    return tuple(int(''.join(c for c in d if c.isdigit()) or 0) for d in digits)


def first_line(error: BaseException) -> str:
    """The first line of what an error says, its kind if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _try_import(name: str) -> Optional[str]:
    """``None`` when a module can be imported, else the reason."""
    try:
        importlib.import_module(name)
    except Exception as error:  # a broken package may raise anything
        return first_line(error)
    return None


def check_python() -> Check:
    """Versions that mmengine 0.10.7 runs on."""
    ok = (3, 10) <= sys.version_info[:2] < (3, 14)
    note = platform.python_version() + ('' if ok else ': mmengine 0.10.7 cannot run on it')
    return Check('Python 3.10-3.13', ok, note, True)


def check_package(module: str, distribution: str, low: str, high: str) -> Check:
    """A needed package within tested versions."""
    name = f'{distribution}>={low},<{high}'
    version = version_of(distribution)
    if version is None:
        return Check(name, False, f'not installed: pip install "{name}"', True)
    if not _numbers(low) <= _numbers(version) < _numbers(high):
        return Check(name, False, f'{version} is installed: pip install "{name}"', True)
    reason = _try_import(module)
    return Check(name, reason is None, reason or version, True)


def check_stack() -> Check:
    """Upstream's stack or the fork's, never both: they share their folders."""
    wrong = clash()
    return Check('one stack', wrong is None, wrong or describe_stack() or 'none', True)


def check_part(module: str) -> Check:
    """A module of the stack that is there, in any of its distributions, but one of them only."""
    choices = STACKS[stack_of()][module]
    there = [text for text in choices if version_of(name_of(text))] or [choices[0]]
    if len(there) > 1:
        note = 'both are installed into one folder: uninstall both, then install one'
        return Check(' or '.join(map(name_of, there)), False, note, True)
    name, low, high = re.fullmatch(r'(.+)>=(.+),<(.+)', there[0]).groups()  # type: ignore[union-attr]
    return check_package(module, name, low, high)


def check_operators() -> Check:
    """Compiled operators of mmcv."""
    name = "mmcv's compiled operators"
    if importlib.util.find_spec('mmcv') is None:
        return Check(name, False, 'mmcv is not installed')
    if importlib.util.find_spec('mmcv._ext') is None:
        return Check(
            name,
            False,
            "the installed one has none; only PSANet, mmcv's DCN and mmdet-based "
            'heads need them (ours does not)',
        )
    reason = _try_import('mmcv._ext')
    return Check(name, reason is None, reason or 'present')


def check_setuptools() -> Check:
    """Whether there is pkg_resources, which mmengine imports without declaring it."""
    if importlib.util.find_spec('pkg_resources') is None:
        return Check(
            'pkg_resources',
            False,
            f'setuptools {version_of("setuptools")} has none: pip install "setuptools<82"',
            True,
        )
    return Check('pkg_resources', True, f'setuptools {version_of("setuptools")}', True)


def check_undeclared() -> Check:
    """What mmseg imports without declaring it."""
    missing = [m for m in ('ftfy', 'regex') if importlib.util.find_spec(m) is None]
    note = f'missing: pip install {" ".join(missing)}' if missing else 'ftfy and regex'
    return Check("mmseg's tokenizer", not missing, note, True)


def torchvision_of(torch_version: str) -> str:
    """Name the torchvision that was built for a torch: 0.(N + 15).P for 2.N.P.

    So for every release from torch 2.0.0 (torchvision 0.15.0) to 2.14.1 (0.29.1); earlier ones are
    not supported here.

    Raises:
        ValueError: If it is no torch 2.
    """
    numbers = torch_version.split('+')[0].split('.')
    if len(numbers) < 3 or numbers[0] != '2' or not (numbers[1] + numbers[2]).isdigit():
        raise ValueError(f'no torchvision is known for torch {torch_version}')
    return f'0.{int(numbers[1]) + 15}.{numbers[2]}'


def torchvision_cure() -> str:
    """What to type to get a torchvision that fits the installed torch."""
    version = version_of('torch')
    try:
        fitting = torchvision_of(version or 'none')
    except ValueError:
        return 'install torch and torchvision together, from one index'
    # "+cpu" and "+cu130" name the index that torch came from; PyPI's torch has no such part, but
    # one kind of binary only, and those of two kinds do not load together.
    build = (version or '').partition('+')[2]
    index = f' --index-url https://download.pytorch.org/whl/{build}' if build else ''
    return f'torch {version} needs torchvision {fitting}: pip install torchvision=={fitting}{index}'


def import_torchvision(user: str) -> Any:
    """Import torchvision, or say which one to install.

    Args:
        user: What needs it, for the message.

    Raises:
        ImportError: If it is missing, or does not load beside the installed torch.
    """
    try:
        importlib.import_module('torchvision.ops')
        return importlib.import_module('torchvision')
    except Exception as error:  # one built for another torch raises RuntimeError
        found = version_of('torchvision')
        state = f'{found} does not load ({first_line(error)})' if found else 'is missing'
        raise ImportError(f'{user}: torchvision {state}; {torchvision_cure()}') from error


def check_torchvision() -> Check:
    """A torchvision that does not match torch stops every Runner."""
    if version_of('torchvision') is None:
        return Check('torchvision matches torch', True, 'not installed, not needed')
    reason = _try_import('torchvision')
    if reason is None:
        return Check('torchvision matches torch', True, str(version_of('torchvision')))
    return Check(
        'torchvision matches torch',
        False,
        f'{reason}: {torchvision_cure()}, or uninstall it',
        True,
    )


def check_ourselves() -> Check:
    """Import the package in a process of its own, as a tool does."""
    done = subprocess.run(
        [sys.executable, '-c', 'import mmseg_ext; print(mmseg_ext.__version__)'],
        capture_output=True,
        text=True,
    )
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return Check('import mmseg_ext', done.returncode == 0, lines[-1] if lines else '', True)


def check_devices() -> Check:
    """Where training runs."""
    try:
        import torch
    except Exception as error:
        return Check('CUDA', False, first_line(error))
    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
        return Check('CUDA', True, f'{torch.cuda.device_count()} x {", ".join(sorted(names))}')
    why = 'no device found' if torch.version.cuda else f'torch {torch.__version__} has no CUDA'
    return Check(
        'CUDA',
        False,
        f'{why}; training runs on the CPU ({os.cpu_count()} cores, '
        '--amp uses bfloat16, --launcher uses gloo)',
    )


def check_optional(name: str, modules: tuple, cure: str) -> Check:
    """A feature that rests on optional packages."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            return Check(name, False, f'{module} is not installed: {cure}')
        reason = _try_import(module)
        if reason:
            return Check(name, False, f'{module}: {reason}')
    return Check(name, True, ', '.join(modules))


def check_folder(name: str, variable: str) -> Check:
    """A folder named by an environment variable."""
    value = os.environ.get(variable)
    if not value:
        return Check(name, False, f'{variable} is not set; data/ and the network are used')
    ok = os.path.isdir(value)
    return Check(name, ok, f'{variable}={value}' + ('' if ok else ' is not a folder'))


CHECKS: tuple[Callable[[], Check], ...] = (
    check_python,
    lambda: check_package('torch', 'torch', '2.6', '2.15'),
    check_stack,
    lambda: check_part('mmengine'),
    lambda: check_part('mmcv'),
    lambda: check_part('mmseg'),
    check_setuptools,
    check_undeclared,
    check_torchvision,
    check_ourselves,
    check_devices,
    check_operators,
    lambda: check_optional('dense CRF oracle', ('pydensecrf',), 'pip install pydensecrf2'),
    lambda: check_optional(
        'mmpretrain backbones',
        ('torchvision', 'mmpretrain'),
        'pip install "mmsegmentation-ext[pretrain]"',
    ),
    lambda: check_optional(
        'ONNX export',
        ('onnx', 'onnxscript', 'onnxruntime'),
        'pip install "mmsegmentation-ext[export]"',
    ),
    lambda: check_optional('cross validation', ('sklearn',), 'pip install "scikit-learn>=1.6,<2"'),
    lambda: check_optional(
        'NIfTI volumes', ('nibabel',), 'pip install "mmsegmentation-ext[nifti]"'
    ),
    lambda: check_folder('real data', 'MMSEG_EXT_DATA'),
    lambda: check_folder('weights', 'MMSEG_EXT_WEIGHTS'),
)


def _run(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # half an installation may raise anything
        return Check(getattr(check, '__name__', 'check'), False, first_line(error))


def report(checks: list[Check]) -> str:
    """The report as text, problems that stop the package last."""
    lines = [
        f'mmseg_ext on Python {platform.python_version()}, {platform.platform()}',
        f'interpreter {sys.executable}',
        '',
        'Versions',
    ]
    lines += [f'  {name:<20} {version_of(name) or "-"}' for name in DISTRIBUTIONS]
    lines += ['', 'Works']
    lines += [f'  {c.name}: {c.note}' for c in checks if c.ok]
    lines += ['', 'Does not work, and is optional']
    lines += [f'  {c.name}: {c.note}' for c in checks if not c.ok and not c.needed] or ['  -']
    lines += ['', 'Does not work, and is needed']
    lines += [f'  {c.name}: {c.note}' for c in checks if not c.ok and c.needed] or ['  -']
    return '\n'.join(lines)


def main() -> int:
    """Print the report; status 1 when something needed does not work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--brief', action='store_true', help='only what is needed and missing')
    args = parser.parse_args()
    checks = [_run(check) for check in CHECKS]
    wrong = [c for c in checks if not c.ok and c.needed]
    if not args.brief:
        print(report(checks))
    for check in wrong:
        print(f'error: {check.name}: {check.note}', file=sys.stderr)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
