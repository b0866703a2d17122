"""--cfg-options: as mmengine reads them, but for blanks, which stay; loaders that fit."""

import sys
from random import Random

import pytest
from mmengine.config import Config, DictAction

from mmseg_ext.apis import cli
from mmseg_ext.apis.run.config import override
from mmseg_ext.core import words

PLAIN = [
    '1', '-2.5e-3', 'true', 'False', 'None', 'abc', '/a/b.pth', '1,2,3', '(1,2)', '[a,b]', '[]',
    '()', '[(1,2,3),[a,b],c]', "['a','b']", '"x"', "'a,b'", 'a=b', '[1]', '(x,)', 'a.b(c)', '',
]  # fmt: skip


@pytest.mark.parametrize('value', PLAIN)
def test_values_without_blanks_are_mmengines(value):
    assert cli.parse_options([f'k={value}']) == {'k': DictAction._parse_iterable(value)}


def test_whatever_is_typed_is_read_as_mmengine_does():
    """Texts of brackets, commas and quotes at random; what mmengine refuses is refused."""
    random, refused = Random(0), 0
    for _ in range(1000):
        text = ''.join(random.choices('[](),,\'"a1.-=', k=random.randint(0, 9)))
        try:
            expected = DictAction._parse_iterable(text)
        except (AssertionError, RecursionError):
            refused += 1
            with pytest.raises(ValueError, match='brackets that do not fit|more than lists'):
                cli.parse_options([f'k={text}'])
        else:
            assert cli.parse_options([f'k={text}']) == {'k': expected}, text
    assert 100 < refused < 900


BLANKS = {
    '/a/my run/x.pth': '/a/my run/x.pth',
    '/data/set (2)/best [old].pth': '/data/set (2)/best [old].pth',
    '"two words"': 'two words',
    ' 7 ': 7,
    '1, 2, 3': [1, 2, 3],
    '( 1 , 2 )': (1, 2),
    '[a b, c d ]': ['a b', 'c d'],
    "['sky', 'wet road']": ['sky', 'wet road'],
    '[(1, 2), [red car, 0.5], None]': [(1, 2), ['red car', 0.5], None],
    '[run (1), run (2)]': ['run (1)', 'run (2)'],
    '1 000': '1 000',
}


@pytest.mark.parametrize('value, expected', BLANKS.items(), ids=list(BLANKS))
def test_blanks_stay_where_they_belong_to_a_text(value, expected):
    assert cli.parse_options([f'load_from={value}']) == {'load_from': expected}


def test_brackets_that_do_not_fit_are_one_line():
    with pytest.raises(ValueError, match=r"'\[1,\(2\]' has brackets that do not fit"):
        cli.parse_options(['k=[1,(2]'])


def test_a_dict_in_a_list_is_one_line():
    with pytest.raises(ValueError, match='set a dict key by key'):
        cli.parse_options(['param_scheduler=[dict(type=StepLR,step_size=2)]'])


def test_hints_call_the_tool_as_it_was_called(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['/venv/bin/mmseg-ext-dataset', 'init'])
    assert words.command('dataset') == 'mmseg-ext-dataset'
    monkeypatch.setattr(sys, 'argv', ['tools/dataset.py', 'init'])
    assert words.command('dataset') == 'python tools/dataset.py'


def test_loaders_without_workers_ask_for_none():
    loader = dict(num_workers=2, persistent_workers=True, prefetch_factor=4)
    cfg = Config(dict(train_dataloader=dict(loader), val_dataloader=dict(loader)))
    override(cfg, {'train_dataloader.num_workers': 0})
    assert cfg.train_dataloader == dict(num_workers=0, persistent_workers=False)
    assert cfg.val_dataloader == loader
