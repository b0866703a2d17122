"""setup.py requires what the code imports, all of it with bounds, and nothing that nobody needs."""

import ast
import functools
import re
import runpy
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from support.paths import ROOT

from mmseg_ext.core import stack


def _beside(path: Path) -> set[str]:
    """What a script finds beside itself: files, folders, and those of the folder above."""
    places = [path.parent, path.parent.parent] if 'tools' in path.parts else [path.parent]
    return {p.stem for place in places for p in place.iterdir() if p.suffix in ('.py', '')}


FOLDERS = ('mmseg_ext', 'tools', 'configs')
FILES = [path for name in FOLDERS for path in sorted((ROOT / name).rglob('*.py'))]
FOR_DEVELOPERS = ('test', 'lint', 'oracle-mmcv', 'oracle-torch214')  # extras that no user installs
# They install into the same folders: whoever installs the package chooses one by an extra.
STACKS = ('lite', 'full', 'onedl')
STACK = {
    'mmengine', 'mmcv', 'mmcv-lite', 'mmsegmentation',
    'onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation',
}  # fmt: skip
# Where the name of a distribution that is not installed here differs from the module's.
NAMES = {
    'pydensecrf': 'pydensecrf2',
    'pymdownx': 'pymdown-extensions',
    'skimage': 'scikit-image',
    'sklearn': 'scikit-learn',
}
NOT_IMPORTED = {
    'setuptools': 'mmengine imports its pkg_resources without declaring it',
    'ftfy': 'mmseg imports it without declaring it',
    'regex': 'mmseg imports it without declaring it',
    'mmpretrain': 'configs name its backbones, and the registry imports it',
    'timm': "configs name its backbones, and mmseg's TIMMBackbone imports it",
    'onnx': 'torch.onnx imports it',
    'onnxscript': 'torch.onnx imports it',
    'onnxruntime': 'runs exported files',
    'openvino': 'runs exported files',
    'segmentation-models-pytorch': 'tools/benchmark.py compares with it',
    'transformers': 'tools/benchmark.py compares with it',
    'ultralytics': 'tools/benchmark.py compares with it',
    'mkdocs-material': 'mkdocs.yml names it',
    'black': 'mkdocstrings breaks signatures into lines with it, if it is there',
    'mkdocstrings': 'mkdocs.yml names it',
    'tensorboard': "mmengine's backend of curves imports it",
    'wandb': "mmengine's backend of curves imports it",
    'mlflow-skinny': "mmengine's backend of curves imports it, as mlflow",
}
NO_UPPER_BOUND = {
    'pillow': 'a new first number every year; what it removes it announces years before',
    'tifffile': 'numbered by date',
    'regex': 'numbered by date',
}


class _CalledError(Exception):
    """The stub was called: what setup.py does behind the call would change the checkout."""


@pytest.fixture(scope='module')
def declared() -> dict[str, dict[str, Requirement]]:
    """Requirements by name, of each extra; those of the package itself under ``''``."""
    given: dict = {}

    def setup(**arguments: object) -> None:
        given.update(arguments)
        raise _CalledError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(_CalledError):
        patch.setattr(setuptools, 'setup', setup)
        patch.setattr(sys, 'argv', ['setup.py'])
        runpy.run_path(str(ROOT / 'setup.py'), run_name='__main__')
    lists = {'': given['install_requires'], **given['extras_require']}
    parsed = {extra: [Requirement(text) for text in texts] for extra, texts in lists.items()}
    return {e: {canonicalize_name(r.name): r for r in parsed[e]} for e in parsed}


def _imports(node: ast.AST, lazy: bool = False) -> Iterator[tuple[str, int, bool]]:
    """Each imported module's first name, its line, and whether only a function imports it."""
    for child in ast.iter_child_nodes(node):
        names = []
        if isinstance(child, ast.Import):
            names = [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom) and child.level == 0:
            names = [child.module or '']
        yield from ((name.split('.')[0], child.lineno, lazy) for name in names)
        in_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield from _imports(child, lazy or in_function)


@functools.cache
def foreign_imports(path: Path) -> list[tuple[str, int, bool]]:
    """Those that are neither Python's nor the package's, nor a file beside this one."""
    ours = {'mmseg_ext', *_beside(path)}
    found = _imports(ast.parse(path.read_text('utf-8')))
    return [entry for entry in found if entry[0] not in ours | sys.stdlib_module_names]


def distributions(module: str, installed: dict) -> set[str]:
    """The distributions that hold a module."""
    names = installed.get(module) or [NAMES.get(module, module)]
    return {canonicalize_name(name) for name in names}


def for_users(declared: dict) -> set[str]:
    """All that users install, by choice or always."""
    return {name for extra in set(declared) - set(FOR_DEVELOPERS) for name in declared[extra]}


def faults(path: Path, declared: dict, installed: dict) -> list[str]:
    """One line for each import of a file that setup.py does not cover."""
    always = set(declared['']) | STACK
    optional = for_users(declared)
    lines = []
    for module, line, lazy in foreign_imports(path):
        names = distributions(module, installed)
        if not names & (always | optional if lazy else always):
            where = 'install_requires or an extra' if lazy else 'install_requires'
            what = ' or '.join(sorted(names))
            lines.append(f'{path}:{line} imports {module}: {what} is missing in setup.py, {where}')
    return lines


@pytest.fixture(scope='module')
def installed() -> dict:
    """The distributions of each module, of all that is installed here."""
    return dict(packages_distributions())


def test_every_import_is_declared(declared, installed):
    assert len(FILES) > 470 and {p.relative_to(ROOT).parts[0] for p in FILES} == set(FOLDERS)
    wrong = [line for path in FILES for line in faults(path, declared, installed)]
    assert not wrong, '\n'.join(wrong)


def test_what_is_not_declared_is_named(tmp_path):
    (tmp_path / 'beside.py').touch()
    (tmp_path / 'a.py').write_text(
        'import os.path, beside, mmseg_ext\nfrom . import x\nimport cv2, big.part\n'
        'def f():\n    from big import x\n    import dev\n    class A:\n        import other\n'
    )
    declared = {'': {'opencv-python': None}, 'large': {'big': None}, 'test': {'dev': None}}
    installed = {'cv2': ['opencv_python'], 'other': ['Some.Name']}
    a = tmp_path / 'a.py'
    assert faults(a, declared, installed) == [
        f'{a}:3 imports big: big is missing in setup.py, install_requires',
        f'{a}:6 imports dev: dev is missing in setup.py, install_requires or an extra',
        f'{a}:8 imports other: some-name is missing in setup.py, install_requires or an extra',
    ]


def test_every_requirement_is_needed(declared, installed):
    modules = {module for path in FILES for module, _, _ in foreign_imports(path)}
    imported = set().union(*(distributions(module, installed) for module in modules)) | STACK
    users = for_users(declared)
    assert len(users) >= 27
    idle = users - imported - set(NOT_IMPORTED)
    assert not idle, f'nothing imports {sorted(idle)}: take it out of setup.py, or say why it stays'
    stale = [name for name in NOT_IMPORTED if name in imported or name not in users]
    assert not stale, f'{stale}: imported, or gone from setup.py; take it off NOT_IMPORTED'


def test_one_extra_brings_one_stack(declared):
    """None is required, as upstream's would come beside the fork's."""
    assert not STACK & set(declared[''])
    told = {extra: [*modules.values()] for extra, modules in stack.STACKS.items()}
    brought = {extra: {str(req) for req in declared[extra].values()} for extra in STACKS}
    lite, full, onedl = ({str(Requirement(t)) for t in texts} for texts in (
        [choices[0] for choices in told['lite']],
        [choices[-1] for choices in told['lite']],
        [choices[0] for choices in told['onedl']],
    ))  # fmt: skip
    assert brought == dict(lite=lite, full=full, onedl=onedl)
    assert set().union(*(declared[extra] for extra in STACKS)) == STACK


def test_every_requirement_has_bounds(declared):
    every = [(name, req) for extra in declared.values() for name, req in extra.items()]
    assert len(every) >= 37
    low = [name for name, r in every if not {'>=', '=='} & {s.operator for s in r.specifier}]
    high = [name for name, r in every if not {'<', '=='} & {s.operator for s in r.specifier}]
    assert not low, f'{low}: say in setup.py from which version on'
    assert set(high) == set(NO_UPPER_BOUND), 'say in setup.py below which version, or why none'


def test_messages_ask_for_the_versions_of_setup_py(declared):
    every = {name: req for extra in declared.values() for name, req in extra.items()}
    words = [
        found.groups()
        for path in sorted((ROOT / 'mmseg_ext').rglob('*.py'))
        for node in ast.walk(ast.parse(path.read_text('utf-8')))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for found in re.finditer(r'([A-Za-z][\w-]*)((?:>=[\d.]+,)?<[\d.]+)', node.value)
    ]
    said = {name: SpecifierSet(bounds) for name, bounds in words if name in every}
    assert {'scikit-learn', 'mmcv-lite', 'mmpretrain'} <= set(said)
    for name, bounds in said.items():
        assert {*map(str, bounds)} <= {*map(str, every[name].specifier)}, name
