"""One bad input, and what bad inputs of several kinds are made with."""

import copy
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Run = tuple[str, list[object]]


@dataclass
class Case:
    """One bad input.

    Args:
        kind: What is broken, such as ``'checkpoint'``.
        name: How.
        write: Writes it into the folder of the case.
        runs: From that folder: tools with their arguments; they write to ``out`` in it.
        names: Words of which the answer must hold one.
        broken: Whether only a refusal is right.
        lenient: Tools that may use it all the same.
    """

    kind: str
    name: str
    write: Callable[[Path], Any]
    runs: Callable[[Path], list[Run]]
    names: Sequence[str]
    broken: bool = True
    lenient: Sequence[str] = ()


class Mark:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ('MARK',)


def broken_bytes(content: bytes, rng: random.Random) -> dict[str, bytes]:
    """Ways in which a file is damaged as a whole."""
    found = {'empty': b'', 'text': b'no such thing\n' * 20, 'zeros': bytes(len(content))}
    for share in (0.02, 0.3, 0.7, 0.97):
        found[f'cut at {share}'] = content[: int(len(content) * share)]
    noise = bytes(rng.randrange(256) for _ in range(5000))  # as many draws for all lengths
    found['noise'] = noise[: len(content)]
    found['json'] = b'{"a": 1}'
    found['html'] = b'<!DOCTYPE html><html><body>404 Not Found</body></html>'
    return found


def bytes_writer(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content)


_VALUES: dict[str, Any] = {
    'null': None, 'text': 'words', 'empty text': '', 'a number': -7, 'huge': 10**30,
    'a fraction': 0.5, 'not a number': float('nan'), 'a list': [1, 'x'], 'a dict': {'a': 1},
    'true': True, 'long': 'x' * 5000, 'nowhere': '../nowhere', 'null byte': 'a\0b',
}  # fmt: skip


def mutations(content: Any) -> Iterator[tuple[tuple, str, Any]]:
    """Every place of a nested content, and what could stand there instead."""
    places = list(_places(content))
    for number, path in enumerate(places):
        names = list(_VALUES)
        for step in range(4):  # not all values at all places
            name = names[(number * 4 + step) % len(names)]
            yield path, name, _VALUES[name]
        yield path, 'absent', ABSENT


ABSENT = object()


def _places(content: Any, path: tuple = ()) -> Iterator[tuple]:
    items: Any = ()
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list):
        items = list(enumerate(content))[:2]
    for key, value in items:
        yield (*path, key)
        yield from _places(value, (*path, key))


def changed_at(content: Any, path: tuple, value: Any) -> Any:
    changed = copy.deepcopy(content)
    place = changed
    for key in path[:-1]:
        place = place[key]
    if value is ABSENT:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed
