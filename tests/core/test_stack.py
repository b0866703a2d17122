"""Which stack is installed: upstream's or the fork's, refused with one line if both or none are."""

import sys
from importlib.machinery import ModuleSpec

import pytest

from mmseg_ext.core import stack

LITE = {'mmengine': '0.10.7', 'mmcv-lite': '2.1.0', 'mmsegmentation': '1.2.2'}
FORK = {'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6', 'onedl-mmsegmentation': '1.4.2'}


@pytest.fixture(autouse=True)
def _excepthook(monkeypatch):
    monkeypatch.setattr(sys, 'excepthook', sys.excepthook)  # restored after each test


@pytest.fixture
def modules_are(monkeypatch):
    """Says which modules can be imported; what is no module is a folder without code."""

    def say(*names, folders=()):
        found = {name: ModuleSpec(name, None, origin=f'{name}/__init__.py') for name in names}
        found |= {name: ModuleSpec(name, None) for name in folders}
        monkeypatch.setattr(stack.importlib.util, 'find_spec', found.get)

    return say


@pytest.mark.parametrize(
    ('versions', 'extra', 'told'),
    [
        (LITE, 'lite', 'mmengine 0.10.7, mmcv-lite 2.1.0, mmsegmentation 1.2.2'),
        (FORK, 'onedl', 'onedl-mmengine 0.10.12, onedl-mmcv 2.3.6, onedl-mmsegmentation 1.4.2'),
        ({'mmcv': '2.1.0', 'torch': '2.13.0'}, 'lite', 'mmcv 2.1.0'),
        ({}, 'lite', ''),  # modules on the path, without a distribution
    ],
)
def test_a_whole_stack_passes_and_is_told(installed_are, modules_are, versions, extra, told):
    installed_are(versions)
    modules_are('mmengine', 'mmcv', 'mmseg')
    stack.check_stack()
    assert (stack.stack_of(), stack.describe_stack()) == (extra, told)


@pytest.mark.parametrize('module', ['mmengine', 'mmcv', 'mmseg'])
def test_both_stacks_are_refused_by_their_names(installed_are, modules_are, module):
    modules_are('mmengine', 'mmcv', 'mmseg')
    other = next(name for name in FORK if name.startswith(f'onedl-{module}'))
    installed_are({**LITE, other: FORK[other]})
    with pytest.raises(ImportError) as caught:
        stack.check_stack()
    assert str(caught.value) == (
        'two stacks are installed into the same folders, mmengine 0.10.7, mmcv-lite 2.1.0, '
        f'mmsegmentation 1.2.2 and {other} {FORK[other]}: remove both (pip uninstall mmengine '
        f'mmcv-lite mmsegmentation {other}), then install one '
        '(pip install "mmsegmentation-ext[lite]", or [full], or [onedl])'
    )


@pytest.mark.parametrize(
    ('versions', 'modules', 'remedy'),
    [
        (
            {},
            (),
            'and mmengine, mmcv, mmseg is not installed: pip install "mmengine>=0.10.7,<0.11" '
            '"mmcv-lite>=2.1,<2.2" "mmsegmentation>=1.2.2,<1.3"',
        ),
        (
            {'mmengine': '0.10.7', 'mmsegmentation': '1.2.2'},
            ('mmengine', 'mmseg'),
            'and mmcv is not installed: pip install "mmcv-lite>=2.1,<2.2"  (no',
        ),
        (
            {'onedl-mmengine': '0.10.12'},
            ('mmengine',),
            'and mmcv, mmseg is not installed: pip install "onedl-mmcv>=2.3.6,<2.4" '
            '"onedl-mmsegmentation>=1.4.2,<1.5"  (no',
        ),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(
    installed_are, modules_are, versions, modules, remedy
):
    installed_are(versions)
    modules_are(*modules, folders=('mmcv',))  # which pip leaves behind
    with pytest.raises(ImportError) as caught:
        stack.check_stack()
    message = str(caught.value)
    assert message.startswith('mmseg_ext needs mmengine, mmcv, mmseg, and') and remedy in message
    assert f'mmsegmentation-ext[{stack.stack_of()}]' in message and '\n' not in message


def test_other_errors_are_shown_as_ever(installed_are, modules_are, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(sys, 'excepthook', lambda *error: shown.append(error))
    installed_are({})
    modules_are()
    with pytest.raises(ImportError) as caught:
        stack.check_stack()
    sys.excepthook(ImportError, caught.value, None)
    assert not shown and capsys.readouterr().err == f'error: {caught.value}\n'
    other = ImportError('another')
    sys.excepthook(ImportError, other, None)
    assert shown == [(ImportError, other, None)]
