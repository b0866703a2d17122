"""Which distributions of mmengine, mmcv and mmseg are installed: upstream's, or the OneDL fork's.

Both stacks have the same import names, so pip installs either over the other without a word, and
removing one takes files of the other away. Nothing but the standard library is imported, as the
report of the environment runs where everything else is missing.
"""

import importlib.metadata
import importlib.util
import sys
from types import TracebackType
from typing import Optional

# By the extra of setup.py that asks for them, by module: what to install.
STACKS: dict[str, dict[str, tuple[str, ...]]] = {
    'lite': {
        'mmengine': ('mmengine>=0.10.7,<0.11',),
        'mmcv': ('mmcv-lite>=2.1,<2.2', 'mmcv>=2.1,<2.2'),  # the second one is compiled
        'mmseg': ('mmsegmentation>=1.2.2,<1.3',),
    },
    'onedl': {
        'mmengine': ('onedl-mmengine>=0.10.12,<0.11',),
        'mmcv': ('onedl-mmcv>=2.3.6,<2.4',),
        'mmseg': ('onedl-mmsegmentation>=1.4.2,<1.5',),
    },
}


def version_of(distribution: str) -> Optional[str]:
    """Installed version of a distribution, ``None`` if it is absent."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def name_of(requirement: str) -> str:
    """Return the distribution that a requirement with bounds, such as ``a>=1,<2``, names."""
    return requirement.partition('>=')[0]


def installed(extra: str) -> dict[str, str]:
    """Return the versions of the distributions of one stack that are there, by their names."""
    every = [name_of(text) for texts in STACKS[extra].values() for text in texts]
    return {name: version for name in every if (version := version_of(name)) is not None}


def stack_facts() -> dict[str, str]:
    """Return the versions of the distributions that are there, by their names, of any stack."""
    return {name: version for extra in STACKS for name, version in installed(extra).items()}


def describe_stack() -> str:
    """Say which distributions are there: ``mmengine 0.10.7, mmcv-lite 2.1.0, ...``."""
    return _told(stack_facts())


def _told(versions: dict[str, str]) -> str:
    return ', '.join(f'{name} {version}' for name, version in versions.items())


def stack_of() -> str:
    """Return the extra whose stack is there, in part at least; ``lite`` where there is none."""
    return 'onedl' if installed('onedl') else 'lite'


def clash() -> Optional[str]:
    """Say in one line that distributions of both stacks are installed; ``None`` if not so."""
    upstream, fork = installed('lite'), installed('onedl')
    if not (upstream and fork):
        return None
    return (
        f'two stacks are installed into the same folders, {_told(upstream)} and {_told(fork)}: '
        f'remove both (pip uninstall {" ".join((*upstream, *fork))}), then install one '
        '(pip install "mmsegmentation-ext[lite]", or [full], or [onedl])'
    )


def missing() -> Optional[str]:
    """Say in one line which of the modules are absent, and the remedy; ``None`` if they are there.

    A module that lies on the path without a distribution counts as there.
    """
    extra = stack_of()
    absent = [module for module in STACKS[extra] if not _is_there(module)]
    if not absent:
        return None
    what = ' '.join(f'"{STACKS[extra][module][0]}"' for module in absent)
    return (
        f'mmseg_ext needs {", ".join(STACKS[extra])}, and {", ".join(absent)} is not installed: '
        f'pip install {what}  (no compiler needed; all of it: pip install '
        f'"mmsegmentation-ext[{extra}]"; `python -m mmseg_ext.env` shows the whole environment)'
    )


def _is_there(module: str) -> bool:
    """Whether a module can be imported; a folder that pip left behind without code cannot."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def check_stack() -> None:
    """Refuse an environment that has no stack, or two.

    Raises:
        ImportError: In one line, with the remedy; a tool that it ends prints that line alone.
    """
    wrong = clash() or missing()
    if wrong:
        error = ImportError(wrong)
        _print_alone(error)
        raise error


def _print_alone(error: ImportError) -> None:
    """Let Python print an error that nobody catches without where it was raised."""
    show = sys.excepthook

    def hook(kind: type, value: BaseException, trace: Optional[TracebackType]) -> None:
        if value is error:
            print(f'error: {value}', file=sys.stderr)
        else:
            show(kind, value, trace)

    sys.excepthook = hook
