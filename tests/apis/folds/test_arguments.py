"""The arguments of folds, as parsed."""

import argparse

import pytest
from mmengine.config import Config

from mmseg_ext.apis import folds


def parse(*words):
    parser = argparse.ArgumentParser()
    folds.add_fold_arguments(parser)
    folds.add_surface_arguments(parser)
    return parser.parse_args(words)


def test_nothing_is_chosen_by_default():
    assert vars(parse()) == dict(
        fold=None, num_folds=None, split_seed=None, pool=None, stratify=False, spacing=[1.0, 1.0],
        tolerance=1.0,
    )  # fmt: skip


def test_what_is_given_arrives_at_the_split():
    args = parse('--num-folds', '4', '--split-seed', '0', '--pool', 'train+val', '--stratify')
    assert folds.split_settings(Config(), args) == dict(
        num_folds=4, split_seed=0, pool='train+val', stratify=True
    )


def test_a_pool_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse('--pool', 'test')
    assert "invalid choice: 'test'" in capsys.readouterr().err
