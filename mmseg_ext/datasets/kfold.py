"""Split of ids into folds: every id is held out once, and groups stay together.

Source: scikit-learn's ``KFold``, ``StratifiedKFold``, ``GroupKFold`` and ``StratifiedGroupKFold``,
https://scikit-learn.org/stable/modules/cross_validation.html.
Differs from it: ids are first sorted and then always shuffled, so the order of a folder listing or
text file has no influence on the folds.
"""

import warnings
from collections.abc import Hashable, Sequence
from typing import Any, Optional

import numpy as np

Fold = tuple[list[str], list[str]]

_MAX_SEED = 2**32 - 1  # limit of numpy


def splitter_name(*, grouped: bool, stratified: bool) -> str:
    """Return the name of the matching splitter class of scikit-learn."""
    return f'{"Stratified" if stratified else ""}{"Group" if grouped else ""}KFold'


def check_fold(fold: int, num_folds: int) -> None:
    """Check the number of a fold.

    Raises:
        ValueError: If there is no such fold.
    """
    if num_folds < 2:
        raise ValueError(f'cross validation needs num_folds of at least 2, got {num_folds}')
    if not 0 <= fold < num_folds:
        raise ValueError(
            f'fold {fold} is out of range: num_folds={num_folds} has the folds 0 to {num_folds - 1}'
        )


def split_folds(
    ids: Sequence[str],
    *,
    num_folds: int,
    split_seed: int = 0,
    groups: Optional[Sequence[str]] = None,
    labels: Optional[Sequence[Hashable]] = None,
) -> list[Fold]:
    """Split ids into folds.

    ``KFold`` makes folds of equal size, ``GroupKFold`` folds with equal numbers of groups. The
    stratified splitters keep the share of each label in every fold, as far as groups allow.

    Args:
        ids: Names without duplicates, in any order.
        num_folds: Number of folds, at least 2.
        split_seed: Seed of the shuffle; 0 is a seed like any other.
        groups: Group of each id, such as the patient; a group is never divided.
        labels: Label of each id to stratify by, such as whether the image has foreground.

    Returns:
        For each fold the ids to train on and the ids held out, both sorted.

    Raises:
        ValueError: If an id occurs twice, the lengths differ, there are fewer ids, groups or ids of
            a label than folds, or the seed is not an unsigned 32-bit number.
    """
    _check(ids, num_folds, groups, labels)
    if not 0 <= split_seed <= _MAX_SEED:
        raise ValueError(f'--split-seed (split_seed) must lie in 0..{_MAX_SEED}, got {split_seed}')
    order = sorted(range(len(ids)), key=lambda index: ids[index])
    names = np.array([ids[index] for index in order])
    by_group = None if groups is None else np.array([groups[index] for index in order])
    codes = None if labels is None else _codes([labels[index] for index in order])
    if codes is not None:
        _check_labels(codes, num_folds)
    splitter = _splitter(groups is not None, labels is not None, num_folds, split_seed)
    with warnings.catch_warnings():  # with groups, a rare label is allowed
        warnings.filterwarnings('ignore', message='The least populated class')
        places = list(splitter.split(names, codes, by_group))
    folds = [(names[train].tolist(), names[val].tolist()) for train, val in places]
    empty = [number for number, (_, val) in enumerate(folds) if not val]
    if empty:
        raise ValueError(
            f'fold {empty[0]} of {num_folds} would hold out nothing: stratifying leaves too few '
            'groups for it; give fewer folds, another split_seed, or do not stratify'
        )
    return folds


def _check(
    ids: Sequence[str],
    num_folds: int,
    groups: Optional[Sequence[str]],
    labels: Optional[Sequence[Hashable]],
) -> None:
    if num_folds < 2:
        raise ValueError(f'cross validation needs num_folds of at least 2, got {num_folds}')
    names = sorted(ids)
    twice = sorted({a for a, b in zip(names, names[1:]) if a == b})
    if twice:
        raise ValueError(f'{len(twice)} ids come twice, such as {twice[0]!r}: list each once')
    for what, given in (('groups', groups), ('labels', labels)):
        if given is not None and len(given) != len(ids):
            raise ValueError(f'{len(given)} {what} for {len(ids)} ids: give one for each id')
    if len(ids) < num_folds:
        raise ValueError(
            f'{len(ids)} ids cannot make {num_folds} folds: give num_folds of at most {len(ids)}'
        )
    if groups is not None and len(set(groups)) < num_folds:
        count = len(set(groups))
        raise ValueError(
            f'{count} groups cannot make {num_folds} folds, as a group is never divided: give '
            f'num_folds of at most {count}'
        )


def _codes(labels: Sequence[Hashable]) -> np.ndarray:
    """Number the labels in the order of their text, independent of the order of ids."""
    known = {label: code for code, label in enumerate(sorted(set(labels), key=repr))}
    return np.array([known[label] for label in labels])


def _check_labels(codes: np.ndarray, num_folds: int) -> None:
    most = int(np.bincount(codes).max())
    if most < num_folds:
        raise ValueError(
            f'no label has as many as {num_folds} ids (the most common has {most}), so no fold '
            f'could be stratified: give num_folds of at most {most}, or do not stratify'
        )


def _splitter(grouped: bool, stratified: bool, num_folds: int, split_seed: int) -> Any:
    from sklearn import model_selection  # slow to import and only needed here

    kind = getattr(model_selection, splitter_name(grouped=grouped, stratified=stratified))
    return kind(n_splits=num_folds, shuffle=True, random_state=split_seed)
