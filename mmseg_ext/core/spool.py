"""A list on disk: what is known of each of a million files, of which a few are in memory."""

import pickle
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, Union, overload

R = TypeVar('R')
T = TypeVar('T')
_PIECE = 256  # items that are written and read at once
_KEPT = 8  # pieces that stay in memory, so that short lists are as fast as any


class Spool(Generic[T]):
    """Append-only store of items that pickle, in a temporary file after the first 2,048."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix='mmseg_ext_spool_')
        self._kept: list[T] = []
        self._starts = array('q')  # of each further full piece in the file
        self._newest: list[T] = []
        self._read: tuple[int, list[T]] = (-1, [])  # the piece that was read last

    def append(self, item: T) -> None:
        """Add an item at the end."""
        if len(self._kept) < _KEPT * _PIECE:
            self._kept.append(item)
            return
        self._newest.append(item)
        if len(self._newest) == _PIECE:
            self._starts.append(self._file.seek(0, 2))
            pickle.dump(self._newest, self._file)
            self._newest = []

    def __len__(self) -> int:
        return len(self._kept) + _PIECE * len(self._starts) + len(self._newest)

    def at(self, place: int) -> T:
        """Return an item by its place from the start; neighbours are read together."""
        if place < len(self._kept):
            return self._kept[place]
        number, inner = divmod(place - len(self._kept), _PIECE)
        if number == len(self._starts):
            return self._newest[inner]
        if self._read[0] != number:
            self._file.seek(self._starts[number])
            self._read = (number, pickle.load(self._file))
        return self._read[1][inner]

    def all(self) -> 'Stored[T]':
        """Return the items as a sequence."""
        return Stored(self, range(len(self)))


class Stored(Sequence[T]):
    """Some of the items of a :class:`Spool`, read when they are asked for.

    Args:
        spool: The items.
        places: Places of those that this sequence has.
    """

    def __init__(self, spool: Spool[T], places: Sequence[int]) -> None:
        self._spool = spool
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> 'Stored[T]': ...
    def __getitem__(self, place: Union[int, slice]) -> Union[T, 'Stored[T]']:
        if isinstance(place, slice):
            return Stored(self._spool, self._places[place])
        return self._spool.at(self._places[place])

    def __iter__(self) -> Iterator[T]:
        return map(self._spool.at, self._places)

    def take(self, places: Iterable[int]) -> 'Stored[T]':
        """Return some of the items of this sequence, by 8 bytes each."""
        return Stored(self._spool, array('q', (self._places[place] for place in places)))


class Mapped(Sequence[R]):
    """A sequence whose items are made of those of another at each access.

    Args:
        items: The others.
        make: What makes an item.
    """

    def __init__(self, items: Sequence[T], make: Callable[[T], Any]) -> None:
        self._items = items
        self._make = make

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, place: int) -> R: ...
    @overload
    def __getitem__(self, place: slice) -> 'Mapped[R]': ...
    def __getitem__(self, place: Union[int, slice]) -> Union[R, 'Mapped[R]']:
        if isinstance(place, slice):
            return Mapped(self._items[place], self._make)
        return self._make(self._items[place])

    def __iter__(self) -> Iterator[R]:
        return map(self._make, self._items)
