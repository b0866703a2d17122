"""Split of ids into folds: every id is held out once, and groups stay together.

Source: scikit-learn's ``KFold``, ``StratifiedKFold``, ``GroupKFold`` and ``StratifiedGroupKFold``,
https://scikit-learn.org/stable/modules/cross_validation.html.
Differs from it: ids are first sorted and then always shuffled, so the order of a folder listing or
text file has no influence on the folds.
"""

import warnings
from collections.abc import Callable, Hashable, Sequence
from itertools import compress, pairwise
from typing import Any, Optional, Union, overload

import numpy as np

Fold = tuple[list[str], list[str]]

_MAX_SEED = 2**32 - 1  # limit of numpy


class Folds(Sequence[Fold]):
    """Folds by the number of the fold that holds out each id; the lists are made when asked for.

    Args:
        names: The ids, sorted; N texts, which the lists share.
        held: int32 ``(N,)``.
        num_folds: Number of folds.
    """

    def __init__(self, names: list[str], held: np.ndarray, num_folds: int) -> None:
        self.names = names
        self.held = held
        self.num_folds = num_folds

    def __len__(self) -> int:
        return self.num_folds

    @overload
    def __getitem__(self, fold: int) -> Fold: ...
    @overload
    def __getitem__(self, fold: slice) -> list[Fold]: ...
    def __getitem__(self, fold: Union[int, slice]) -> Union[Fold, list[Fold]]:
        if isinstance(fold, slice):
            return [self[number] for number in range(self.num_folds)[fold]]
        out = (self.held == range(self.num_folds)[fold]).tolist()
        val = list(compress(self.names, out))
        return [name for name, is_out in zip(self.names, out) if not is_out], val

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folds) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


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
) -> Folds:
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
    order = _order(ids)
    by_group = None if groups is None else _codes(groups, order)
    codes = None if labels is None else _codes(labels, order, key=repr)
    if codes is not None:
        _check_labels(codes, num_folds)
    splitter = _splitter(groups is not None, labels is not None, num_folds, split_seed)
    held = np.zeros(len(ids), np.int32)  # fold that holds out each id
    with warnings.catch_warnings():  # with groups, a rare label is allowed
        warnings.filterwarnings('ignore', message='The least populated class')
        for fold, (_, val) in enumerate(splitter.split(held, codes, by_group)):
            held[val] = fold
            if not len(val):
                raise ValueError(
                    f'fold {fold} of {num_folds} would hold out nothing: stratifying leaves too '
                    'few groups for it; give fewer folds, another split_seed, or do not stratify'
                )
    return Folds([ids[place] for place in order], held, num_folds)


def _order(ids: Sequence[str]) -> np.ndarray:
    """Return the places of the ids in the order of their text, int32."""
    if all(one < other for one, other in pairwise(ids)):  # as a listing is
        return np.arange(len(ids), dtype=np.int32)
    return np.fromiter(sorted(range(len(ids)), key=ids.__getitem__), np.int32, len(ids))


def _check(
    ids: Sequence[str],
    num_folds: int,
    groups: Optional[Sequence[str]],
    labels: Optional[Sequence[Hashable]],
) -> None:
    if num_folds < 2:
        raise ValueError(f'cross validation needs num_folds of at least 2, got {num_folds}')
    twice = sorted({a for a, b in pairwise(sorted(ids)) if a == b})
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


def _codes(
    labels: Sequence[Hashable], order: np.ndarray, key: Optional[Callable] = None
) -> np.ndarray:
    """Number the labels in the order of their key, and return those of the ids in ``order``."""
    known = {label: code for code, label in enumerate(sorted(set(labels), key=key))}  # type: ignore
    return np.fromiter((known[labels[place]] for place in order), np.int32, len(order))


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
