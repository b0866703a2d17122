"""Doors of packages: names are found where they are said to be, when they are asked for."""

import sys

import pytest

from mmseg_ext.core.exports import door


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two modules, one of them deeper, that offers a name of each."""
    home = tmp_path / 'house'
    (home / 'inner').mkdir(parents=True)
    (home / '__init__.py').touch()
    (home / 'inner' / '__init__.py').touch()
    (home / 'one.py').write_text('a, b = 1, 2\n')
    (home / 'inner' / 'two.py').write_text('c = 3\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    yield door('house', one='b a', **{'inner.two': 'c'})
    for name in [name for name in sys.modules if name.split('.')[0] == 'house']:
        del sys.modules[name]


def test_names_are_imported_at_their_first_use(package):
    get, listed, names = package
    assert names == listed() == ['a', 'b', 'c']
    assert 'house.one' not in sys.modules and 'house.inner.two' not in sys.modules
    assert get('c') == 3
    assert 'house.inner.two' in sys.modules and 'house.one' not in sys.modules
    assert (get('a'), get('b')) == (1, 2)


def test_what_is_not_offered_is_no_attribute(package):
    with pytest.raises(AttributeError, match="module 'house' has no attribute 'd'"):
        package[0]('d')
