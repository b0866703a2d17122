"""Command lines: options may stand anywhere, and what is read from them is the same."""

import itertools
import sys

import pytest
from support.tools import load_tool


def arguments_of(tool: str, *words: str):
    module = load_tool(tool)
    before, sys.argv = sys.argv, [tool, *words]
    try:
        return module.parse_args()
    finally:
        sys.argv = before


@pytest.mark.parametrize(
    'tool, positionals, options',
    [
        ('test', ['c.py', 'w.pth'], [['--dataset', 'd.yml'], ['--tta'], ['--work-dir', 'w']]),
        ('predict', ['c.py', 'w.pth', 'a.png'], [['--out', 'o'], ['--prob']]),
        ('train', ['c.py'], [['--seed', '0'], ['--amp']]),
        ('kfold', ['c.py'], [['--num-folds', '3'], ['--dataset', 'd.yml']]),
        ('table', ['mfp', '5'], [['--report'], ['--work-dirs', 'w']]),
        ('class_weights', ['c.py'], [['--dataset', 'd.yml'], ['--normalize']]),
        ('crf', ['p'], [['--out', 'o'], ['--workers', '2']]),
        ('report', ['w'], [['--out', 'o.html']]),
    ],
)
def test_options_stand_before_between_and_behind(tool, positionals, options) -> None:
    expected = vars(arguments_of(tool, *positionals, *itertools.chain(*options)))
    for groups in itertools.permutations([[word] for word in positionals] + options):
        words = [word for group in groups for word in group]
        if [word for word in words if word in positionals] == positionals:
            assert vars(arguments_of(tool, *words)) == expected, words


@pytest.mark.parametrize(
    'tool, words',
    [
        ('dataset', ['init', 'folder']),
        ('dataset', ['check', 'd.yml']),
        ('dataset', ['show', 'd.yml', '--config', 'c.py']),
        ('label', ['export', 'd.yml']),
        ('label', ['import', 'd.yml', 'done.json']),
        ('kfold', ['c.py', '--num-folds', '3']),
        ('active_learning', ['c.py', '--dataset', 'd.yml']),
    ],
)
def test_every_command_takes_quiet(tool, words, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr('mmseg_ext.apis.cli.arguments.be_quiet', lambda: asked.append(tool))
    loud = vars(arguments_of(tool, *words))
    assert asked == []
    assert vars(arguments_of(tool, *words, '--quiet')) == loud and asked == [tool]


def test_a_command_refuses_a_seed_that_no_generator_takes(capsys) -> None:
    with pytest.raises(SystemExit):
        arguments_of('dataset', 'init', 'folder', '--seed', '-1')
    assert '--seed must be a number from 0 to 4294967295, got -1' in capsys.readouterr().err


def test_a_file_behind_settings_is_no_setting(tmp_path) -> None:
    weights = tmp_path / 'w.pth'
    weights.touch()
    args = arguments_of('test', 'c.py', '--cfg-options', 'a.b=1', 'c=[2,3]', str(weights), '--tta')
    assert args.checkpoint == str(weights) and args.tta
    assert args.cfg_options == {'a.b': 1, 'c': [2, 3]}


def test_what_is_neither_setting_nor_file_is_named() -> None:
    with pytest.raises(ValueError, match=r"--cfg-options 'max_iters' is not key=value"):
        arguments_of('train', 'c.py', '--cfg-options', 'a=1', 'max_iters', '5')


def test_unknown_words_are_refused(capsys) -> None:
    with pytest.raises(SystemExit):
        arguments_of('test', 'c.py', 'w.pth', 'more.pth', '--tta')
    assert 'unrecognized arguments: more.pth' in capsys.readouterr().err


@pytest.mark.parametrize(
    'words',
    [
        ('train', 'c.py', '--seed', '-1'),
        ('make_label_split', 'c.py', '--out', 'o', '--seed', '4294967296'),
        ('active_learning', 'c.py', '--dataset', 'd.yml', '--seeds', '0', '-1'),
    ],
)
def test_a_seed_that_no_generator_takes_is_named(words, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        arguments_of(*words)
    assert stopped.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert f'must be a number from 0 to 4294967295, got {words[-1]}' in told
    assert arguments_of(*words[:-1], '4294967295') is not None


@pytest.mark.parametrize('option', [('--choose', '0'), ('--choose', '-2'), ('--passes', '1')])
def test_numbers_of_active_learning_are_refused_before_a_round(option, capsys) -> None:
    words = ['c.py', '--dataset', 'd.yml', '--people', 'cvat', '--choose', '3', *option]
    with pytest.raises(SystemExit):
        arguments_of('active_learning', *words)
    least = {'--choose': 1, '--passes': 2}[option[0]]
    told = capsys.readouterr().err.splitlines()[-1]
    assert f'{option[0]} must be a number from {least}, got {option[1]}' in told
