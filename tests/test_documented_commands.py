"""Every command in the documents is one that its program takes; names in their Python are there.

Nothing is run here.
"""

import argparse
import ast
import importlib
import re
import runpy
import sys
from pathlib import Path

import pytest
import setuptools
from mmengine import Config
from support.documents import PAGES, blocks, commands, lines_of, programs, snippet_tree
from support.paths import ROOT
from support.tools import load_tool

from mmseg_ext.apis.config.check import check_options
from mmseg_ext.apis.tables import choose_table, read_tables, select

CONFIGS = {path.stem: path for path in (ROOT / 'configs').glob('*/[!_]*.py')}
# programs that are not ours, and why their words are not looked at
FOREIGN = {
    'curl': 'asks the server of tools/serve.py; tests/apis/serve has such requests',
    'find': 'lists files for a tool behind the pipe, which is checked',
    'mim': 'openmim, which the environment of the tests lacks; tests/test_hub.py has what it calls',
    '#!/bin/bash': "a job of Slurm's; the tool in it is checked elsewhere on its page",
    'URL': 'sets a variable',
    'export': 'sets a variable',
    'git': "gets a checkout of the reader's choice",
    'cd': 'goes to a folder',
    'source': 'enters an environment',
}
SHELL_TOOLS = {'dist_train': 2, 'dist_test': 3, 'slurm_train': 4}  # words before train.py's options


def _parsed(monkeypatch, tool, arguments):
    """What a tool makes of its arguments, read by its own parser."""
    monkeypatch.setattr('sys.argv', [f'tools/{tool}.py', *arguments])
    monkeypatch.setattr('mmseg_ext.apis.cli.arguments.be_quiet', lambda: None)  # for this process
    module = load_tool(tool)
    if hasattr(module, 'parse_args'):
        return module.parse_args()
    text = (ROOT / f'tools/{tool}.py').read_text()  # a small one of tools/dev parses in main
    options = [word for word in arguments if word.startswith('--')]
    assert [word for word in options if f"'{word}'" not in text] == []
    return None


def _check_tool(monkeypatch, tool, arguments):
    args = _parsed(monkeypatch, tool, arguments)
    if tool == 'table' and args.paper.islower():
        tables = read_tables(args.paper)
        if args.table is not None:
            rows = args.rows and [row.strip() for row in args.rows.split(',')]
            assert select(choose_table(tables, args.table), rows=rows).rows
    configs = [word for word in arguments if word.startswith('configs/') and word.endswith('.py')]
    if '--cfg-options' in arguments and configs:
        options = arguments[arguments.index('--cfg-options') + 1 :]
        names = [word.split('=')[0] for word in options if '=' in word]
        assert names
        check_options(Config.fromfile(ROOT / configs[0]), dict.fromkeys(names))


def _check_names(words):
    """Configs by path, by package and by name."""
    families = {name.split('_')[0] for name in CONFIGS}
    for word in words:
        if word.startswith('configs/') and word.endswith('.py'):
            assert (ROOT / word).is_file(), word
        elif re.fullmatch(r'(mmseg_ext::[\w/]+|\w+)_\w+(\.py)?', word):
            stem = word.rpartition('::')[2].rpartition('/')[2].removesuffix('.py')
            assert stem.split('_')[0] not in families or stem in CONFIGS, word


def _check_pip(extras, words):
    named = {extra for word in words for extra in re.findall(r'\[([\w,-]+)\]', word)}
    assert {extra for text in named for extra in text.split(',')} <= extras, words


def _check(monkeypatch, extras, words):
    """One program with its words."""
    first = words[0]
    rest = words[1:]
    if first == 'python' and rest[0].startswith('tools/'):
        _check_names(rest)
        _check_tool(monkeypatch, rest[0].removeprefix('tools/').removesuffix('.py'), rest[1:])
    elif first == 'python' and rest[0] == '-m':
        assert importlib.util.find_spec(rest[1]), rest
    elif first == 'bash':
        script = ROOT / rest[0]
        assert script.is_file() and script.stem in SHELL_TOOLS
        _check_names(rest)
        config = next(word for word in rest if word.endswith('.py'))
        _parsed(monkeypatch, script.stem.partition('_')[2],
                [config, *rest[1 + SHELL_TOOLS[script.stem] :]])  # fmt: skip
    elif first.startswith('mmseg-ext-'):
        _check_names(rest)
        _parsed(monkeypatch, first.removeprefix('mmseg-ext-').replace('-', '_'), rest)
    elif first == 'make':
        assert re.search(rf'^{re.escape(rest[0])}:', (ROOT / 'Makefile').read_text(), re.M), words
    elif first == 'pip':
        _check_pip(extras, rest)
    else:
        raise AssertionError(f'{first}: check it here, or say in FOREIGN why not')


@pytest.fixture(scope='module')
def extras():
    given = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, 'setup', lambda **arguments: given.update(arguments))
        patch.setattr(sys, 'argv', ['setup.py'])
        runpy.run_path(str(ROOT / 'setup.py'), run_name='__main__')
    return set(given['extras_require'])


def _foreign(text):
    return next((name for name in FOREIGN if re.match(rf'{re.escape(name)}(?!\w)', text)), None)


def test_commands_are_found():
    tools = {words[1] for _, text in commands() if not _foreign(text)
             for words in programs(text) if words[0] == 'python'}  # fmt: skip
    assert len(commands()) >= 90 and len(tools) >= 22
    assert {page for page, _ in commands()} >= {'README.md', 'docs/tables.md', 'docs/data.md'}


@pytest.mark.parametrize(('page', 'text'), commands(), ids=lambda x: str(x)[:60])
def test_the_program_takes_it(monkeypatch, extras, page, text):
    if text.startswith('#!'):
        assert FOREIGN[text.splitlines()[0]]
        return
    checked = [words for words in programs(text) if not _foreign(words[0])]
    assert checked or _foreign(text), text
    for words in checked:
        _check(monkeypatch, extras, words)


def test_what_is_not_looked_at_has_a_reason():
    assert all(FOREIGN.values())


@pytest.mark.parametrize('text', [
    'python tools/train.py', 'python tools/gone.py CONFIG',
    'python tools/train.py CONFIG --no-such',
    'python tools/table.py fmsi 99', 'python tools/table.py fmsi 3 --rows NoRow',
    'python tools/train.py configs/fmsi/fmsi_no_such.py', 'python -m mmseg_ext.no_such',
    'python tools/predict.py fmsi_no_such photos/ --out x', 'make no-such',
    'pip install ".[no-such]"',
    'bash tools/dist_train.sh configs/fmsi/fmsi_xception_voc.py 4 --no-such', 'unheard-of x',
    'mmseg-ext-train mmseg_ext::fmsi/fmsi_no_such.py',
    'python tools/dev/draw_rooms.py --no-such',
    'python tools/train.py configs/fmsi/fmsi_xception_voc.py --cfg-options modle.x=1',
])  # fmt: skip
def test_what_is_wrong_is_found(monkeypatch, extras, capsys, text):
    """The check of the commands fails where a reader would."""
    with pytest.raises((AssertionError, SystemExit, ValueError, OSError)) as failed:
        for words in programs(text):
            _check(monkeypatch, extras, words)
    assert failed.type is not SystemExit or failed.value.code != 0


# --- switches -------------------------------------------------------------------------------------

TOOLS = [path.relative_to(ROOT / 'tools').with_suffix('').as_posix()
         for folder in ('.', 'dataset_converters', 'model_converters')
         for path in sorted((ROOT / 'tools' / folder).glob('*.py'))]  # fmt: skip


def _switches(monkeypatch, tool):
    """Every switch that the parser of a tool is given, those of its subcommands, too."""
    found = set()
    add = argparse._ActionsContainer.add_argument

    def noted(self, *names, **how):
        found.update(name for name in names if name.startswith('--') and '_' not in name)
        return add(self, *names, **how)

    monkeypatch.setattr(argparse._ActionsContainer, 'add_argument', noted)
    monkeypatch.setattr('sys.argv', [f'tools/{tool}.py', '--help'])
    with pytest.raises(SystemExit):
        load_tool(tool).parse_args()
    return found - {'--help'}


def test_all_tools_are_asked():
    assert len(TOOLS) >= 24 and {'train', 'model_converters/convert'} <= set(TOOLS)


@pytest.mark.parametrize('tool', TOOLS)
def test_every_switch_is_in_a_document(monkeypatch, tool):
    """In one that names the tool, or in the table of those that mean the same in all."""
    texts = [page.read_text() for page in PAGES]
    shared = (ROOT / 'docs/using.md').read_text().split('These mean the same')[1].split('\n\n')[1]
    assert shared.count('\n| `--') >= 8
    named = [*(text for text in texts if f'{Path(tool).name}.py' in text), shared]
    assert len(named) > 1
    switches = _switches(monkeypatch, tool)
    assert '--quiet' in switches
    written = set(re.findall(r'--[a-z0-9][a-z0-9-]*', ' '.join(named)))
    assert sorted(switches - written) == []


def test_lines_of_a_block():
    text = 'a --b \\\n    c   # why\n# a remark\nd "x # y"\n'.replace('"x # y"', 'x')
    assert lines_of(text) == ['a --b c', 'd x']
    assert programs('A=1 a b | c > d && e') == [['a', 'b'], ['c'], ['e']]


# --- Python ---------------------------------------------------------------------------------------

SNIPPETS = [block for block in blocks() if block.language == 'python']


def _known(tree, modules):
    """Import what a snippet imports; ``modules`` gets them by the name that they have there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.name if alias.asname else alias.name.split('.')[0]
                importlib.import_module(alias.name)
                modules[alias.asname or name] = sys.modules[name]
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                home = importlib.import_module(node.module)
                modules[alias.asname or alias.name] = getattr(home, alias.name)


@pytest.mark.parametrize('page', sorted({block.page for block in SNIPPETS}))
def test_the_names_in_python_are_there(page):
    """In the order of the page: what one snippet imports, the next may use."""
    import mmseg_ext

    modules, seen = {'mmseg_ext': mmseg_ext}, 0
    for block in SNIPPETS:
        if block.page == page:
            tree = snippet_tree(block.text)
            _known(tree, modules)
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    home = modules.get(node.value.id)
                    assert home is None or hasattr(home, node.attr), ast.unparse(node)
            seen += 1
    assert seen


def test_types_in_python_are_registered():
    """``type='...'`` of a config is a module that mmseg or this package has."""
    from mmengine.registry import MODELS as ROOT_MODELS
    from mmseg.registry import DATASETS, HOOKS, LOOPS, METRICS, MODELS, TRANSFORMS

    registries = (DATASETS, HOOKS, LOOPS, METRICS, MODELS, ROOT_MODELS, TRANSFORMS)
    named = set()
    for block in SNIPPETS:
        for node in ast.walk(snippet_tree(block.text)):
            if isinstance(node, ast.keyword) and node.arg == 'type':
                named.add(ast.literal_eval(node.value))
    assert {'FolderDataset', 'DenseCRF'} <= named
    assert {name for name in named if not any(r.get(name) for r in registries)} == set()
