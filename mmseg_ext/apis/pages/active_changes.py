"""The page section about what each round of active learning changed, class by class."""

from collections import Counter
from statistics import mean
from typing import Any, Optional

from ...core.words import USER_ERRORS, message_of
from ..draw.blocks import Block, Cell, Fold, Line, Note, Section, Table, section
from .active_data import ActiveData, ClassIoU, RoundsData
from .numbers import NONE

_SHOWN = 3  # gains, losses, and classes of a choice
_NOTE = (
    'Against the round before, in percentage points, as mean over the seeds that have finished '
    'both. In the last column the largest classes among the pixels that were chosen for the round, '
    'over all seeds.'
)


def changes(data: ActiveData) -> Optional[Section]:
    """List gains and losses of classes in each round, and what was chosen before it."""
    folds: list[Fold] = []
    for strategy in data.plan.strategies:
        blocks = list_changes(data, strategy, 'chosen pixels')
        if blocks:
            folds.append(Fold(strategy, blocks, opened=not folds, key=data.key(strategy)))
    return section('What each round changed', Note(_NOTE), *folds) if folds else None


def list_changes(data: RoundsData, strategy: str, new: str) -> list[Block]:
    """List gains and losses of each round of a strategy, and the IoU of each class.

    Args:
        data: The rounds.
        strategy: Of ``data.finished``.
        new: Heading of the column with the classes of what is new in a round.

    Returns:
        Nothing if no round is finished.
    """
    lines, ious = [], {}
    for number in data.numbers:
        now = _class_iou(data, strategy, number)
        if now:
            ious[number] = now
        line = _line(data, strategy, number)
        lines += [line] if line is not None else []
    if not lines:
        return []
    head = ('round', 'mIoU, points', 'largest gains', 'largest losses', new)
    table = Table(head, lines, f'what each round of {strategy} changed')
    return [table, *([_classes(data, strategy, ious)] if ious else [])]


def _line(data: RoundsData, strategy: str, number: int) -> Optional[Line]:
    chosen = _chosen(data, strategy, number)
    if chosen is None:
        return None
    score = difference(data, strategy, number)
    by_class = class_differences(data, strategy, number)
    ranked = sorted(by_class, key=lambda name: by_class[name], reverse=True)
    gains = [f'{name} {_signed(by_class[name])}' for name in ranked[:_SHOWN] if by_class[name] > 0]
    ranked.reverse()
    losses = [f'{name} {_signed(by_class[name])}' for name in ranked[:_SHOWN] if by_class[name] < 0]
    cells = [
        Cell(NONE if score is None else _signed(score)),
        *(Cell(', '.join(words) or NONE, style='words') for words in (gains, losses)),
        Cell(chosen, style='words'),
    ]
    return Line(Cell(str(number)), cells)


def _signed(value: float) -> str:
    return f'{100 * value:+.1f}'.replace('-', '−')


def _pairs(data: RoundsData, strategy: str, number: int) -> list[tuple[Any, Any]]:
    """A round and the one before, of each seed that has finished both."""
    seeds = data.finished[strategy].values()
    return [(done[number - 1], done[number]) for done in seeds if {number - 1, number} <= set(done)]


def difference(data: RoundsData, strategy: str, number: int) -> Optional[float]:
    """Change of the mIoU in a round, as mean over seeds; ``None`` if no seed has both rounds."""
    pairs = _pairs(data, strategy, number)
    return _mean_change([[data.results(one).value('mIoU') for one in pair] for pair in pairs])


def class_differences(data: RoundsData, strategy: str, number: int) -> dict[str, float]:
    """Change of the IoU of each class in a round, as mean over seeds."""
    pairs = [[_iou_of(data, one) for one in pair] for pair in _pairs(data, strategy, number)]
    names = dict.fromkeys(name for pair in pairs for iou in pair for name in iou)
    found = {name: _mean_change([[i.get(name) for i in pair] for pair in pairs]) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _mean_change(pairs: list[list[Optional[float]]]) -> Optional[float]:
    known = [after - before for before, after in pairs if before is not None and after is not None]
    return mean(known) if known else None


def _iou_of(data: RoundsData, one: Any) -> ClassIoU:
    return data.results(one).per_class.get('IoU', {})


def _class_iou(data: RoundsData, strategy: str, number: int) -> dict[str, float]:
    """IoU of each class after a round, as mean over the seeds that have one."""
    values: dict[str, list[float]] = {}
    for done in data.finished[strategy].values():
        for name, value in (_iou_of(data, done[number]) if number in done else {}).items():
            values.setdefault(name, []).extend([] if value is None else [value])
    return {name: mean(found) for name, found in values.items() if found}


def _classes(data: RoundsData, strategy: str, ious: dict[int, dict[str, float]]) -> Fold:
    names = dict.fromkeys(name for iou in ious.values() for name in iou)
    changes_of = {number: class_differences(data, strategy, number) for number in ious}
    lines = [
        Line(Cell(name), [_iou_cell(iou.get(name), changes_of[n].get(name))
                          for n, iou in ious.items()])
        for name in names
    ]  # fmt: skip
    head = ('class', *(f'round {number}' for number in ious))
    table = Table(head, lines, f'IoU of each class by {strategy}')
    return Fold('IoU of each class in %, and its change', [table])


def _iou_cell(value: Optional[float], change: Optional[float]) -> Cell:
    small = () if change is None else (_signed(change),)
    return Cell(NONE if value is None else f'{100 * value:.1f}', small)


def _chosen(data: RoundsData, strategy: str, number: int) -> Optional[str]:
    """The largest classes of what is new in words; ``None`` if no seed has finished the round."""
    rounds = [done[number] for done in data.finished[strategy].values() if number in done]
    if not rounds:
        return None
    pixels: Counter[str] = Counter()
    try:
        for one in rounds:
            pixels.update(data.pixels(one))
    except USER_ERRORS as error:
        return f'not known: {message_of(error)}'
    total = sum(pixels.values())
    shares = [f'{name} {100 * count / total:.0f}\u00a0%'
              for name, count in pixels.most_common(_SHOWN) if count]  # fmt: skip
    return ', '.join(shares) or NONE
