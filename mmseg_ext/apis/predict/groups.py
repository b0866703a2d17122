"""Answer items in groups of one kind, and hand the answers on in the order of the items."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Optional

_AHEAD = 4  # groups that are read ahead to fill one


class _Slot:
    """An item, and its answer once there is one."""

    def __init__(self, item: Any, kind: Optional[tuple]) -> None:
        self.item, self.kind, self.answers = item, kind, []  # type: Any, Any, list[Any]


def in_groups(
    items: Iterable[Any],
    size: int,
    *,
    key: Callable[[Any], Optional[tuple]],
    answer: Callable[[list[Any]], list[Any]],
    room: Callable[[Any, int], int],
) -> Iterator[Any]:
    """Answer items of one kind together.

    Args:
        items: What comes in; at most ``4 * size`` wait at a time.
        size: Largest number of items in a group.
        key: The kind of an item; ``None`` if it must be alone.
        answer: From a group to an answer for each.
        room: From an item and ``size`` to the largest group of such items.

    Yields:
        The answers, in the order of the items.
    """
    waiting: list[_Slot] = []
    for item in items:
        slot = _Slot(item, key(item))
        waiting.append(slot)
        most = size if slot.kind is None or size == 1 else room(item, size)
        if slot.kind is not None and len(_alike(waiting, slot)) >= most:
            _answer(_alike(waiting, slot), answer)
        # where few fit, few are kept waiting
        if len(waiting) >= (_AHEAD * size if most == size else most):
            _answer(_alike(waiting, waiting[0]), answer)
        yield from _done(waiting, answer)
    while waiting:
        _answer(_alike(waiting, waiting[0]), answer)
        yield from _done(waiting, answer)


def _alike(waiting: list[_Slot], slot: _Slot) -> list[_Slot]:
    """Return those that wait for an answer together with one."""
    if slot.kind is None:
        return [] if slot.answers else [slot]
    return [other for other in waiting if other.kind == slot.kind and not other.answers]


def _answer(group: list[_Slot], answer: Callable[[list[Any]], list[Any]]) -> None:
    found = answer([slot.item for slot in group]) if group else []
    for slot, one in zip(group, found):
        slot.item, slot.answers = None, [one]


def _done(waiting: list[_Slot], answer: Callable[[list[Any]], list[Any]]) -> Iterator[Any]:
    """Take from the front what is answered; an item that must be alone is answered there."""
    while waiting and (waiting[0].answers or waiting[0].kind is None):
        if not waiting[0].answers:
            _answer([waiting[0]], answer)
        yield waiting.pop(0).answers[0]
