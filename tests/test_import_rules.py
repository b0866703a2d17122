"""Who may import whom (docs/architecture.md), read from the syntax trees."""

import ast
import importlib
from pathlib import Path

import pytest

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
# The rooms of apis, from the ground up: a room imports those below it, and none beside it.
FLOORS = (
    {'config', 'draw'},
    {'userdata'},
    {'run'},
    {'predict', 'folds', 'convert'},
    {'pages', 'bench', 'cli', 'demo'},
    {'tables'},
    {'cards'},
)
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
    assert len(files) > 200
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


def _room(module):
    parts = module.split('.')
    return parts[2] if module.startswith('mmseg_ext.apis.') else None


def test_rooms_import_downwards():
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    arrows = {(_room(_module(path)), _room(name)) for path in _files() for name in _imports(path)}
    arrows = {(one, other) for one, other in arrows if one and other and one != other}
    assert {room for arrow in arrows for room in arrow} == set(
        floor
    )  # all are built, none left out
    assert len(arrows) > 20
    assert sorted((a, b) for a, b in arrows if floor[a] <= floor[b]) == []


def test_below_apis_nobody_imports_it():
    wrong = [f'{p.relative_to(ROOT)}: {n}' for p in _files() if _layer(_module(p))
             for n in _imports(p) if n.startswith('mmseg_ext.apis')]  # fmt: skip
    assert wrong == []


def test_files_of_apis_lie_in_rooms():
    loose = {p.stem for p in (ROOT / 'apis').glob('*.py')}
    assert loose == {'__init__', 'demo'}


def test_a_room_says_what_it_is_for_and_opens_no_wrong_door():
    rooms = sorted(p.parent for p in (ROOT / 'apis').glob('*/__init__.py'))
    assert len(rooms) == 12
    for room in rooms:
        module = importlib.import_module(f'mmseg_ext.apis.{room.name}')
        assert len(module.__doc__.strip().splitlines()) == 3, room  # two lines, a blank between
        assert module.__all__, room
        assert set(module.__all__).isdisjoint(p.stem for p in room.glob('*.py')), room
        for name in module.__all__:
            assert getattr(module, name).__doc__ or name.isupper(), f'{room.name}.{name}'


def test_the_public_names_are_documented_and_are_no_modules():
    from mmseg_ext import apis

    names = set(apis.__all__)
    assert 10 <= len(names) <= 16
    assert names.isdisjoint({p.name for p in (ROOT / 'apis').iterdir()})
    undocumented = [name for name in names if len(getattr(apis, name).__doc__ or '') < 40]
    assert undocumented == []
    assert names <= set(dir(apis))
    with pytest.raises(AttributeError, match='no attribute'):
        apis.trian  # noqa: B018


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
