"""What waits for the first import of a package; the packages are made up here."""

import importlib
import importlib.util
import sys

import pytest

from mmseg_ext.core import deferred


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Two watched packages, ``wm_a`` and ``wm_b``, which imports the first, and what was called."""
    calls: list[str] = []
    for name, text in {'wm_a': 'VALUE = 1', 'wm_b': 'import wm_a\nVALUE = wm_a.VALUE + 1'}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').write_text(text)
    (tmp_path / 'wm_a' / 'part.py').write_text('')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(deferred, 'WATCHED', ('wm_a', 'wm_b', 'wm_absent'))
    monkeypatch.setattr(deferred, '_waiting', [])
    before = list(sys.meta_path)
    yield calls
    sys.meta_path[:] = before
    for name in ('wm_a', 'wm_b', 'wm_a.part'):
        sys.modules.pop(name, None)


@pytest.mark.parametrize('first, there', [('wm_a', {'wm_a'}), ('wm_b', {'wm_a', 'wm_b'}),
                                          ('wm_a.part', {'wm_a'})])  # fmt: skip
def test_the_first_import_ends_with_what_waits(packages, first, there):
    """Also where it imports another watched package, which is then whole, too."""

    def note(name):
        ready = {n for n in ('wm_a', 'wm_b') if hasattr(sys.modules.get(n), 'VALUE')}
        packages.append((name, ready))

    deferred.once_loaded(lambda: note('one'))
    deferred.once_loaded(lambda: note('two'))
    assert packages == []
    importlib.import_module(first)
    assert packages == [('one', there), ('two', there)]
    importlib.import_module('wm_b')
    assert len(packages) == 2
    assert deferred._WATCH not in sys.meta_path


def test_what_is_loaded_is_not_waited_for(packages):
    importlib.import_module('wm_a')
    deferred.once_loaded(lambda: packages.append('now'))
    assert packages == ['now'] and deferred._WATCH not in sys.meta_path


def test_looking_for_a_package_is_no_import(packages):
    deferred.once_loaded(lambda: packages.append('called'))
    found = importlib.util.find_spec('wm_a')
    assert found.origin.endswith('wm_a/__init__.py')
    assert importlib.util.find_spec('wm_absent') is None
    with pytest.raises(ModuleNotFoundError, match='wm_absent'):
        importlib.import_module('wm_absent')
    assert packages == [] and 'wm_a' not in sys.modules


def test_the_module_has_its_own_loader(packages):
    deferred.once_loaded(lambda: packages.append('called'))
    module = importlib.import_module('wm_a')
    plain = importlib.util.spec_from_file_location('x', module.__file__).loader
    assert type(module.__loader__) is type(module.__spec__.loader) is type(plain)
    assert module.__loader__.get_data(module.__file__) == b'VALUE = 1'


def test_an_error_of_what_waits_is_one_of_the_import_and_stays(packages):
    def fail():
        packages.append('tried')
        raise ImportError('torchvision does not fit')

    deferred.once_loaded(fail)
    for count in (1, 2):
        with pytest.raises(ImportError, match='does not fit'):
            importlib.import_module('wm_b')
        assert packages == ['tried'] * count and 'wm_b' not in sys.modules
        sys.modules.pop('wm_a')


def test_a_package_that_fails_is_waited_for_again(packages, tmp_path):
    deferred.once_loaded(lambda: packages.append('called'))
    whole = (tmp_path / 'wm_a/__init__.py').read_text()
    (tmp_path / 'wm_a/__init__.py').write_text('raise ImportError("no torch")')
    with pytest.raises(ImportError, match='no torch'):
        importlib.import_module('wm_a')
    assert packages == []
    (tmp_path / 'wm_a/__init__.py').write_text(f'{whole}  # another length')
    importlib.import_module('wm_a')
    assert packages == ['called']
