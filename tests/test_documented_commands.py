"""Every command in the documents is one that its tool takes: arguments, options, settings."""

import re
import shlex
from functools import cache

import pytest
from mmengine import Config
from support.paths import ROOT
from support.tools import load_tool

from mmseg_ext.apis.config.check import check_options

PAGES = [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    *ROOT.glob('docs/**/*.md'),
    *ROOT.glob('configs/*/README.md'),
]


@cache
def _commands():
    """``(tool, arguments)`` of each ``python tools/NAME.py``, in a block or in backticks."""
    found = set()
    for page in PAGES:
        text = page.read_text().replace('\\\n', ' ')
        for tool, rest in re.findall(r'python tools/([\w/]+)\.py\b([^\n`]*)', text):
            command = re.split(r'[>&|]', rest)[0]
            if not tool.startswith('dev/'):  # these have tests that call them
                found.add((tool, tuple(shlex.split(command, comments=True))))
    return sorted(found)


def test_commands_are_found():
    assert len(_commands()) >= 40
    assert len({tool for tool, _ in _commands()}) >= 14


@pytest.mark.parametrize(('tool', 'arguments'), _commands(), ids=lambda x: str(x)[:60])
def test_the_tool_takes_it(monkeypatch, tool, arguments):
    monkeypatch.setattr('sys.argv', [f'tools/{tool}.py', *arguments])
    assert load_tool(tool).parse_args()


def _settings():
    """``(config, settings)`` of the commands that name both."""
    for _, arguments in _commands():
        configs = [
            word for word in arguments if word.startswith('configs/') and word.endswith('.py')
        ]
        if '--cfg-options' in arguments and configs:
            options = arguments[arguments.index('--cfg-options') + 1 :]
            yield configs[0], [word.split('=')[0] for word in options if '=' in word]


def test_the_config_has_the_settings():
    found = list(_settings())
    assert len(found) >= 2
    for config, names in found:
        assert names
        check_options(Config.fromfile(ROOT / config), dict.fromkeys(names))
