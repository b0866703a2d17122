"""Imports that wait for their first use: made-up packages, and what the installed ones do."""

import ast
import builtins
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine import registry as registries
from mmengine.registry import Registry
from mmengine.visualization import Visualizer
from mmseg.visualization import SegLocalVisualizer
from scipy import ndimage
from support.paths import ROOT

from mmseg_ext import first_use
from mmseg_ext.first_use import imported_later

FILES = {
    'wm_home/__init__.py': 'from .part import Thing\n__all__ = ["Thing"]\n',
    'wm_home/part.py': 'from mmengine.registry import TOYS\n\n'
    '@TOYS.register_module()\nclass Thing:\n    pass\n',
    'wm_above/__init__.py': 'from wm_home import Thing\n',
    'wm_user.py': 'import scipy.optimize\nfrom scipy import interpolate\n'
    'from scipy.ndimage import gaussian_filter as blur\n',
    'wm_other.py': 'from scipy.ndimage import gaussian_filter as blur\n',
}


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """The registry of a class that waits, in packages that are made for it."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    toys = Registry('toys')
    toys.register_module(name='Known', module=dict)
    one = first_use._Class('Thing', 'wm_home', 'part', 'TOYS', ('wm_above',))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registries, 'TOYS', toys, raising=False)
    monkeypatch.setattr(first_use, '_CLASSES', (one,))
    monkeypatch.setattr(first_use, '_WITH_SCIPY', ('wm_user',))
    plain = builtins.__import__
    yield toys
    assert builtins.__import__ is plain
    for name in [name for name in sys.modules if name.startswith('wm_')]:
        del sys.modules[name]


@pytest.fixture
def waiting(toys):
    with imported_later():
        importlib.import_module('wm_above')
    assert 'wm_home.part' not in sys.modules
    return toys


def test_a_class_is_in_its_registry_before_it_is_imported(waiting):
    modules = waiting.module_dict
    assert 'Thing' in modules and 'Think' not in modules and modules.get('Think') is None
    assert list(modules) == list(modules.keys()) == ['Known', 'Thing'] and len(waiting) == 2
    assert list(modules.values()) == [dict]  # there is no object of what is not imported
    assert 'wm_home.part' not in sys.modules


@pytest.mark.parametrize('ask', [
    lambda toys: toys.get('Thing'), lambda toys: type(toys.build(dict(type='Thing'))),
    lambda toys: toys.module_dict['Thing'], lambda toys: dict(toys.module_dict.items())['Thing'],
    lambda toys: sys.modules['wm_home'].Thing, lambda toys: sys.modules['wm_above'].Thing,
    lambda toys: importlib.import_module('wm_home.part').Thing,
])  # fmt: skip
def test_whoever_asks_gets_the_class_itself(waiting, ask):
    found = ask(waiting)
    part = sys.modules['wm_home.part']
    assert found is part.Thing is waiting.get('Thing') is sys.modules['wm_above'].Thing
    assert 'Thing' in waiting and list(waiting.module_dict.values()) == [dict, found]
    assert len(waiting) == 2
    with pytest.raises(KeyError, match='Thing is already registered'):
        waiting.register_module(name='Thing', module=list)


def test_another_name_is_as_absent_as_ever(waiting):
    names: dict = {}
    exec('from wm_home import *', names)
    assert names['Thing'] is waiting.get('Thing')
    with pytest.raises(AttributeError, match="module 'wm_home' has no attribute 'Think'"):
        sys.modules['wm_home'].Think  # noqa: B018


def test_what_is_imported_already_is_left_alone(toys):
    thing = importlib.import_module('wm_home').Thing
    with imported_later():
        importlib.import_module('wm_above')
    assert type(toys.module_dict) is dict and toys.get('Thing') is thing
    assert '__getattr__' not in vars(sys.modules['wm_home'])


def test_an_error_within_ends_the_holding_back(toys):
    with pytest.raises(ModuleNotFoundError), imported_later():
        importlib.import_module('wm_home')
        importlib.import_module('wm_absent')
    assert sys.modules['wm_home'].Thing is toys.get('Thing')


def test_functions_of_scipy_are_imported_when_they_are_called(toys):
    with imported_later():
        user, other = map(importlib.import_module, ('wm_user', 'wm_other'))
    assert other.blur is ndimage.gaussian_filter and user.blur is not ndimage.gaussian_filter
    image = np.random.default_rng(0).random((5, 7))
    np.testing.assert_array_equal(user.blur(image, sigma=2), ndimage.gaussian_filter(image, 2))
    found = user.scipy.optimize.linear_sum_assignment([[4, 1], [2, 8]])
    assert [list(part) for part in found] == [[0, 1], [1, 0]]
    assert user.interpolate.interp1d([0, 2], [0, 6])(1) == 3
    with pytest.raises(AttributeError):
        user.blur.__wrapped__  # noqa: B018


def _tree(module):
    path = Path(importlib.util.find_spec(module).origin)
    return ast.parse(path.read_text(encoding='utf-8'))


@pytest.mark.parametrize('one', first_use._CLASSES, ids=lambda one: one.name)
def test_the_installed_packages_import_these_classes(one):
    def imports(module, source, level):
        return any(isinstance(node, ast.ImportFrom) and node.module == source
                   and node.level == level and one.name in [a.name for a in node.names]
                   for node in ast.walk(_tree(module)))  # fmt: skip

    assert imports(one.home, one.module, 1)
    assert all(imports(other, one.home.removeprefix(f'{other}.'), 1) for other in one.others)
    (made,) = [node for node in _tree(f'{one.home}.{one.module}').body
               if isinstance(node, ast.ClassDef) and node.name == one.name]  # fmt: skip
    assert [ast.unparse(d) for d in made.decorator_list] == [f'{one.registry}.register_module()']


@pytest.mark.parametrize('module', first_use._WITH_SCIPY)
def test_the_installed_mmseg_does_nothing_but_call_these_functions(module):
    """At least once, in a function, or ask whether they are there; else they could not wait."""
    tree = _tree(module)
    names = {alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom)
             and str(node.module).startswith('scipy') for alias in node.names}  # fmt: skip
    called = {ast.unparse(call.func).split('.')[0] for function in ast.walk(tree)
              if isinstance(function, ast.FunctionDef)
              for call in ast.walk(function) if isinstance(call, ast.Call)}  # fmt: skip
    uses = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in names]
    fine = [call.func for call in ast.walk(tree) if isinstance(call, ast.Call)]
    fine += [test for test in ast.walk(tree) if isinstance(test, ast.Compare)
             and ast.unparse(test).endswith(' is None')]  # fmt: skip
    fine = [n for part in fine for n in ast.walk(part) if isinstance(n, ast.Name) and n.id in names]
    assert names and names <= called and len(uses) == len(fine)


def test_the_classes_of_mmengine_are_what_they_were(python_tool):
    code = """
import mmseg_ext
from mmengine import model, optim
from mmengine.registry import MODEL_WRAPPERS, OPTIMIZERS, STRATEGIES
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.optim import ZeroRedundancyOptimizer
print(issubclass(OPTIMIZERS.get('ZeroRedundancyOptimizer'), ZeroRedundancyOptimizer))
print(issubclass(MODEL_WRAPPERS.get('MMFullyShardedDataParallel'), FullyShardedDataParallel))
print(model.MMFullyShardedDataParallel is MODEL_WRAPPERS.get('MMFullyShardedDataParallel'))
print(STRATEGIES.get('FSDPStrategy').__name__)
"""
    assert python_tool('-c', code).stdout.split() == ['True', 'True', 'True', 'FSDPStrategy']


def _visualizer(kind, **settings):
    return kind(f'visualizer {len(kind._instance_dict)} {id(settings)}', **settings)


@pytest.fixture
def made(monkeypatch):
    """The settings of each figure that is made."""
    settings, make = [], Visualizer._initialize_fig
    monkeypatch.setattr(Visualizer, '_initialize_fig',
                        lambda self, cfg: settings.append(cfg) or make(self, cfg))  # fmt: skip
    return settings


@pytest.mark.parametrize('kind', [Visualizer, SegLocalVisualizer])
def test_a_figure_is_made_when_something_is_drawn(made, kind):
    drawing = _visualizer(kind, fig_save_cfg=dict(frameon=False, dpi=50))
    assert made == []
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    drawing.set_image(image)
    assert made == [dict(frameon=False, dpi=50)] and drawing.dpi == 50
    drawing.draw_bboxes(np.array([[2, 2, 25, 15]]), edge_colors='r')
    assert drawing.get_image().shape == (20, 30, 3) and len(made) == 1
    assert (drawing.get_image() != image).any(-1).sum() > 20  # the box


@pytest.mark.parametrize('part, kind', [('ax_save', 'Axes'), ('fig_save', 'Figure'),
                                        ('fig_save_canvas', 'FigureCanvasAgg')])  # fmt: skip
def test_whichever_part_is_asked_for_first_all_belong_together(made, part, kind):
    drawing = _visualizer(Visualizer)
    assert type(getattr(drawing, part)).__name__ == kind and len(made) == 1
    assert drawing.ax_save.figure is drawing.fig_save is drawing.fig_save_canvas.figure
    assert drawing.dpi == drawing.fig_save.get_dpi() and len(made) == 1
    with pytest.raises(AttributeError, match="'Visualizer' object has no attribute 'axes'"):
        drawing.axes  # noqa: B018


@pytest.mark.parametrize('place', ['named', 'second'])
def test_an_image_that_is_given_is_drawn_at_once(made, place):
    image = np.zeros((4, 5, 3), np.uint8)
    if place == 'named':
        drawing = _visualizer(Visualizer, image=image)
    else:
        drawing = Visualizer('with an image', image)
    assert len(made) == 1 and drawing.get_image().shape == image.shape


def test_visualizers_may_be_inherited(made):
    class Own(Visualizer):
        def _initialize_fig(self, cfg):
            return super()._initialize_fig(dict(cfg, dpi=77))

    assert _visualizer(Own).dpi == 77 and len(made) == 1


@pytest.mark.slow
def test_registering_everything_imports_none_of_it():
    """In a process of its own: the tests' tools have imported torch._dynamo, which needs some."""
    code = 'import sys, mmseg_ext.models; print(*sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert done.returncode == 0 and 'mmseg.models' in loaded, done.stderr
    assert loaded.isdisjoint({'torch.distributed.fsdp', 'torch._dynamo', 'sympy', 'scipy'})
