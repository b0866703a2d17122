"""Who may import whom (docs/architecture.md), read from the syntax trees."""

import ast
import importlib
import importlib.util
import re
import sys
from types import ModuleType

import pytest
from support.paths import ROOT as CHECKOUT

sys.path.insert(0, str(CHECKOUT / 'tools/dev'))

import draw_rooms  # noqa: E402
from imports import ROOT, files, import_nodes, imports_of, module_of  # noqa: E402

from mmseg_ext.core.deferred import WATCHED  # noqa: E402

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
    {'labels'},
    {'pages', 'cli', 'demo', 'deploy'},
    {'tables', 'use'},
    {'cards', 'serve', 'bench'},
)
HEAVY = ('torchvision', 'mmpretrain', 'mmdet', 'timm')


def _layer(module):
    name = module.removeprefix('mmseg_ext.')
    found = [layer for layer in ALLOWED if name == layer or name.startswith(f'{layer}.')]
    return found[0] if found else None


def _files():
    found = files()
    assert len(found) > 255
    return found


def test_dependencies_point_one_way():
    edges, wrong = 0, []
    for path in _files():
        layer = _layer(module_of(path))
        if layer is None:
            continue
        for name in imports_of(path):
            if not name.startswith('mmseg_ext'):
                continue
            edges += 1
            if name.startswith(('mmseg_ext.version', 'mmseg_ext.env')):  # import nothing of ours
                continue
            other = _layer(name)
            if other not in (layer, 'core') and other not in ALLOWED[layer]:
                wrong.append(f'{path.relative_to(ROOT)} imports {name}')
    assert edges > 350
    assert wrong == []


def _room(module):
    parts = module.split('.')
    return parts[2] if module.startswith('mmseg_ext.apis.') else None


def test_rooms_import_downwards():
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    arrows = {
        (_room(module_of(path)), _room(name)) for path in _files() for name in imports_of(path)
    }
    arrows = {(one, other) for one, other in arrows if one and other and one != other}
    assert {room for arrow in arrows for room in arrow} == set(
        floor
    )  # all are built, none left out
    assert len(arrows) >= 28
    assert sorted((a, b) for a, b in arrows if floor[a] <= floor[b]) == []


def test_core_waits_for_openmmlab():
    """It is imported while mmengine is, whose import ends with ours: core/deferred.py."""
    paths = [path for path in _files() if _layer(module_of(path)) == 'core']
    wrong = [f'{p.name}: {n}' for p in paths for n in imports_of(p, top_level_only=True)
             if n.split('.')[0] in WATCHED]  # fmt: skip
    assert len(paths) > 20 and wrong == []


def test_own_imports_are_relative():
    absolute = []
    for path in _files():
        for node, _ in import_nodes(path.read_text(encoding='utf-8')):
            named = [getattr(node, 'module', None)] if isinstance(node, ast.ImportFrom) else []
            named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if not getattr(node, 'level', 0) and any(str(n).startswith('mmseg_ext') for n in named):
                absolute.append(f'{path.relative_to(ROOT)}:{node.lineno}')
    assert absolute == []


def test_below_apis_nobody_imports_it():
    wrong = [f'{p.relative_to(ROOT)}: {n}' for p in _files() if _layer(module_of(p))
             for n in imports_of(p) if n.startswith('mmseg_ext.apis')]  # fmt: skip
    assert wrong == []


def test_files_of_apis_lie_in_rooms():
    loose = {p.stem for p in (ROOT / 'apis').glob('*.py')}
    assert loose == {'__init__', 'demo'}


def test_a_room_says_what_it_is_for_and_opens_no_wrong_door():
    rooms = sorted(p.parent for p in (ROOT / 'apis').glob('*/__init__.py'))
    assert len(rooms) == 16
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
    silent = [name for name in names if 'Example::\n' not in (getattr(apis, name).__doc__ or '')]
    assert silent == [], 'a docstring that shows no call'
    assert names <= set(dir(apis))
    with pytest.raises(AttributeError, match='no attribute'):
        apis.trian  # noqa: B018


def test_nobody_imports_configs_tools_or_tests():
    wrong = [f'{p.name}: {n}' for p in _files() for n in imports_of(p)
             if n.split('.')[0] in ('configs', 'tools', 'tests')]  # fmt: skip
    assert wrong == []


def test_heavy_packages_are_imported_lazily():
    wrong = [f'{p.name}: {n}' for p in _files() for n in imports_of(p, top_level_only=True)
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


def test_the_map_of_the_rooms_is_current():
    drawn = draw_rooms.current()
    assert drawn
    for path, text in drawn.items():
        assert path.read_text() == text, f'{path.name}: python tools/dev/draw_rooms.py'


def test_rooms_are_drawn_from_imports(tmp_path, monkeypatch):
    package = tmp_path / 'mmseg_ext'
    for name, text in {
        'core/__init__': '',
        'core/a': 'from . import b',
        'apis/low/__init__': 'from ...core import a',
        'apis/high/__init__': 'if 1:\n    from ..low import x\n    from mmseg_ext.core import y',
    }.items():
        path = package / f'{name}.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(draw_rooms, 'ROOT', package)
    monkeypatch.setattr(draw_rooms, 'APIS', package / 'apis')
    monkeypatch.setattr(draw_rooms, 'files', lambda: files(package))
    monkeypatch.setattr(draw_rooms, 'module_of', lambda p: module_of(p, package))
    monkeypatch.setattr(draw_rooms, 'imports_of', lambda p: imports_of(p, root=package))
    arrows = draw_rooms.read_arrows()
    assert arrows == {'core': set(), 'low': {'core'}, 'high': {'low', 'core'}}
    assert draw_rooms.floors_of(arrows) == {'core': 0, 'low': 1, 'high': 2}
    assert draw_rooms.reduced(arrows)['high'] == {'low'}
    assert draw_rooms.draw(arrows).count('<polyline') == 2


def test_files_and_functions_that_the_map_names_exist():
    text = (CHECKOUT / 'docs/architecture.md').read_text()
    named = re.findall(r'`([\w/]+\.py)`(?: `(\w+)`)?', text)
    assert len(named) >= 60
    assert sum(bool(name) for _, name in named) >= 20
    missing = []
    for file, name in named:
        places = [p for p in (ROOT / file, ROOT / 'apis' / file, CHECKOUT / file) if p.is_file()]
        trees = [ast.parse(p.read_text()) for p in places]
        if not any(not name or name in [getattr(n, 'name', '') for n in t.body] for t in trees):
            missing.append((file, name))
    assert missing == []


def test_tools_ask_modules_for_names_that_are_there():
    """A room's door answers at run time, so that a tool with a wrong name would fail at its use."""
    files = sorted((ROOT.parent / 'tools').rglob('*.py'))
    asked, wrong = 0, []
    for path in files:
        tree = ast.parse(path.read_text(encoding='utf-8'))
        modules = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('mmseg_ext'):
                for alias in node.names:
                    modules[alias.asname or alias.name] = _named(node.module, alias.name)
        wrong += [f'{path.name}: {name}' for name, thing in modules.items() if thing is None]
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                thing = modules.get(node.value.id)
                if isinstance(thing, ModuleType):
                    asked += 1
                    if not hasattr(thing, node.attr):
                        wrong.append(f'{path.name}: {node.value.id}.{node.attr}')
    assert len(files) > 25 and asked > 40
    assert wrong == []


def _named(module, name):
    thing = getattr(importlib.import_module(module), name, None)
    if thing is None and importlib.util.find_spec(f'{module}.{name}'):
        return importlib.import_module(f'{module}.{name}')
    return thing
