"""Who may import whom (docs/architecture.md), read from the syntax trees."""

import ast
import importlib
from pathlib import Path

import mmseg_ext

ROOT = Path(mmseg_ext.__file__).parent

# layer -> layers of ours that it may import, besides itself and core
ALLOWED = {
    'core': set(),
    'models.layers': set(),
    'models.losses': set(),
    'models.backbones': {'models.layers'},
    'models.necks': {'models.layers'},
    'models.decode_heads': {'models.layers'},
    'models.segmentors': {'models.layers', 'models.losses'},
    'datasets': set(),
    'evaluation': set(),
    'engine': set(),
}
HEAVY = ('torchvision', 'mmpretrain', 'mmdet', 'timm')


def _module(path):
    parts = path.relative_to(ROOT.parent).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def _imports(path, top_level_only=False):
    """Absolute names of everything a file imports."""
    package = _module(path).split('.')
    if path.name != '__init__.py':
        package = package[:-1]
    tree = ast.parse(path.read_text(encoding='utf-8'))
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = '.'.join([*base, *([node.module] if node.module else [])])
            yield from (f'{stem}.{alias.name}' for alias in node.names)


def _layer(module):
    name = module.removeprefix('mmseg_ext.')
    found = [layer for layer in ALLOWED if name == layer or name.startswith(f'{layer}.')]
    return found[0] if found else None


def _files():
    files = sorted(p for p in ROOT.rglob('*.py') if '.mim' not in p.parts)
    assert len(files) > 30
    return files


def test_dependencies_point_one_way():
    edges, wrong = 0, []
    for path in _files():
        layer = _layer(_module(path))
        if layer is None:
            continue
        for name in _imports(path):
            if not name.startswith('mmseg_ext'):
                continue
            edges += 1
            if name.startswith(('mmseg_ext.version', 'mmseg_ext.env')):  # import nothing of ours
                continue
            other = _layer(name)
            if other not in (layer, 'core') and other not in ALLOWED[layer]:
                wrong.append(f'{path.relative_to(ROOT)} imports {name}')
    assert edges > 20
    assert wrong == []


def test_nobody_imports_configs_tools_or_tests():
    wrong = [f'{p.name}: {n}' for p in _files() for n in _imports(p)
             if n.split('.')[0] in ('configs', 'tools', 'tests')]  # fmt: skip
    assert wrong == []


def test_heavy_packages_are_imported_lazily():
    wrong = [f'{p.name}: {n}' for p in _files() for n in _imports(p, top_level_only=True)
             if n.split('.')[0] in HEAVY]  # fmt: skip
    assert wrong == []


def test_utils_holds_register_all_modules_only():
    assert [p.name for p in (ROOT / 'utils').glob('*.py')] == ['__init__.py']
    module = importlib.import_module('mmseg_ext.utils')
    assert module.__all__ == ['register_all_modules']
    tree = ast.parse((ROOT / 'utils' / '__init__.py').read_text())
    functions = [n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    assert functions == ['register_all_modules']


def test_no_catch_all_modules():
    names = {p.stem for p in _files()}
    assert names.isdisjoint({'utils', 'common', 'misc', 'helpers'})


def test_every_package_and_public_class_is_documented():
    undocumented = []
    for path in _files():
        tree = ast.parse(path.read_text(encoding='utf-8'))
        if not ast.get_docstring(tree) or len(ast.get_docstring(tree)) < 15:
            undocumented.append(str(path.relative_to(ROOT)))
        undocumented += [f'{path.name}:{n.name}' for n in tree.body
                         if isinstance(n, (ast.ClassDef, ast.FunctionDef))
                         and not n.name.startswith('_') and not ast.get_docstring(n)]  # fmt: skip
    assert undocumented == []
