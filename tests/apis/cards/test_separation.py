"""What a table's line says, against scipy's test and Holm's rule by hand."""

import pytest
from scipy.stats import ttest_rel

from mmseg_ext.apis.cards.separation import paired_p, separation_line

_SCORES = {
    'base': {'0': 50.0, '1': 52.0, '2': 51.0},
    'better': {'0': 60.1, '1': 62.0, '2': 61.2},
    'noisy': {'2': 58.0, '0': 49.0, '1': 55.0},
    'shifted': {'5': 90.0, '0': 70.0},
    'two': {'0': 51.0, '1': 53.2},
    'never': {},
}


def _data(scores, baseline='base'):
    rows = []
    for label, found in scores.items():
        seeds = [*found]
        facts = dict(seed=seeds[0] if len(seeds) == 1 else seeds) if found else None
        lines = [
            dict(metric='mIoU', values=[*found.values()] or None),
            dict(metric='aAcc', values=[1.0]),
        ]
        rows.append(dict(label=label, facts=facts, lines=lines))
    return dict(rows=rows, baseline=baseline)


def test_the_test_is_that_of_scipy():
    base, noisy = _SCORES['base'], _SCORES['noisy']
    pairs = [(noisy[seed], base[seed]) for seed in base]
    expected = ttest_rel(*zip(*pairs)).pvalue
    assert paired_p([a - b for a, b in pairs]) == pytest.approx(expected)
    assert paired_p([1.0, 1.0]) == 0 and paired_p([0.0, 0.0]) == 1


def test_rows_that_differ_do_not_or_were_not_tested_are_named():
    assert separation_line(_data(_SCORES)) == (
        "In mIoU, by Student's paired t-test over seeds with Holm's correction, differ from base "
        'at 5 %: better; do not: noisy, two; have too few seeds in common with it: shifted.'
    )


def test_holm_counts_the_rows():
    """Each of four alike rows has p of 0.02: alone it differs, four times that does not."""
    base = {'0': 50.0, '1': 50.0, '2': 50.0}
    row = {'0': 51.0, '1': 51.3, '2': 51.6}
    p = paired_p([1.0, 1.3, 1.6])
    assert 0.0125 < p < 0.05
    assert 'at 5 %: a.' in separation_line(_data({'base': base, 'a': row}))
    many = separation_line(_data({'base': base, **dict.fromkeys('abcd', row)}))
    assert 'at 5 %: none; do not: a, b, c, d.' in many


def test_nothing_is_said_where_nothing_can_be_tested():
    assert separation_line(_data({'base': {'0': 1.0}, 'a': {'0': 2.0}})) == ''
    assert separation_line(_data(_SCORES, baseline=None)) == ''
    assert separation_line(dict(rows=[], baseline='base')) == ''
    folds = _data(_SCORES)
    for row in folds['rows']:
        if row['facts']:
            row['facts']['seed'] = '0'  # five folds of one seed
    assert separation_line(folds) == ''
