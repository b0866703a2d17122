"""The samples of a data set in a few bytes each, instead of a dict for every image.

Source: our own, in place of mmengine's ``serialize_data``, which keeps each sample as a pickle of
some 300 bytes, and needs four times that to make them. What all samples share is kept once, and of
a path the number of its folder and the bytes of its name. Worker processes share it as they do
mmengine's: there is no object for each sample whose reference count they would write.
"""

import pickle
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional, Union, overload

from .stem_files import as_bytes, as_text

_PLAIN = (bool, int, float, str, list, tuple, dict)


class SampleTable(Sequence[dict]):
    """A list of dicts that is made once; each access makes a new dict.

    Args:
        samples: The dicts, taken one after the other; values of a key that are equal, or texts,
            take few bytes.
        more: What every sample holds besides.
    """

    def __init__(
        self, samples: Iterable[Mapping[str, Any]] = (), more: Optional[Mapping[str, Any]] = None
    ) -> None:
        self._shared: dict[str, Any] = {}
        self._columns: dict[str, Union[Texts, list]] = {}
        self._length = 0
        for sample in samples:
            self._append(sample)
        self._shared.update(more or {})
        self._pickle = pickle.dumps(self._shared)

    def _append(self, sample: Mapping[str, Any]) -> None:
        shared, columns = self._shared, self._columns
        if not self._length:
            shared.update(sample)
        for key, value in sample.items():
            column = columns.get(key)
            if isinstance(column, Texts) and _is_text(value):
                column.append(value)
            elif column is not None or not _same(value, shared.get(key, _Absent)):
                self._append_other(key, value)
        if len(sample) < len(shared) + len(columns):
            for key in (shared.keys() | columns.keys()) - sample.keys():
                self._append_other(key, _Absent)
        self._length += 1

    def _append_other(self, key: str, value: Any) -> None:
        """Add a value that does not fit how the values of this key are stored."""
        column = self._columns.get(key)
        if column is None:
            firsts = [self._shared.pop(key, _Absent)] * self._length
            texts = _is_text(value) and all(map(_is_text, firsts[:1]))
            column = Texts(firsts) if texts else firsts
        elif isinstance(column, Texts):
            column = list(column)
        column.append(value)
        self._columns[key] = column

    def add(self, key: str, values: Iterable[Optional[str]]) -> None:
        """Give each sample one more text, which may be None; values are in the order of samples."""
        column = Texts(values)
        self._shared.pop(key, None)
        self._pickle = pickle.dumps(self._shared)
        self._columns[key] = column

    def column(self, key: str) -> Iterator[Any]:
        """Yield the values of a key; samples without it are left out."""
        if key in self._shared:
            yield from (self._shared[key] for _ in range(self._length))
        yield from (value for value in self._columns.get(key, ()) if value is not _Absent)

    def take(self, places: Iterable[int]) -> 'SampleTable':
        """Return some of the samples, in that order; a place may be negative."""
        wanted = [range(self._length)[place] for place in places]
        other = SampleTable()
        other._shared, other._pickle, other._length = self._shared, self._pickle, len(wanted)
        for key, column in self._columns.items():
            values = (column[place] for place in wanted)
            other._columns[key] = Texts(values) if isinstance(column, Texts) else list(values)
        return other

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> dict: ...
    @overload
    def __getitem__(self, place: slice) -> 'SampleTable': ...
    def __getitem__(self, place: Union[int, slice]) -> Union[dict, 'SampleTable']:
        if isinstance(place, slice):
            return self.take(range(self._length)[place])
        at = range(self._length)[place]
        sample = pickle.loads(self._pickle)  # new lists and dicts, which transforms may change
        for key, column in self._columns.items():
            value = column[at]
            if value is not _Absent:
                sample[key] = value if isinstance(column, Texts) else _copied(value)
        return sample


class Texts:
    """A list of texts, or None, such as paths, by the folder's number and the bytes of the name.

    Args:
        texts: The texts, taken one after the other.
    """

    def __init__(self, texts: Iterable[Optional[str]] = ()) -> None:
        self._folders: dict[str, int] = {}
        self._names: list[str] = []
        self._number = array('i')
        self._end = array('q')
        self._bytes = bytearray()
        for text in texts:
            self.append(text)

    def append(self, text: Optional[str]) -> None:
        """Add a text at the end."""
        if text is None:
            self._number.append(-1)
        else:
            cut = text.rfind('/') + 1
            folder = text[:cut]
            number = self._folders.get(folder)
            if number is None:
                number = self._folders[folder] = len(self._names)
                self._names.append(folder)
            self._number.append(number)
            self._bytes += as_bytes(text[cut:])
        self._end.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._end)

    def __getitem__(self, place: int) -> Optional[str]:
        number = self._number[place]
        if number < 0:
            return None
        start = self._end[place - 1] if place else 0
        return self._names[number] + as_text(self._bytes[start : self._end[place]])

    def __iter__(self) -> Iterator[Optional[str]]:
        return (self[place] for place in range(len(self)))


class _Absent:
    """Stands for the value of a key that a sample does not have."""


def _is_text(value: Any) -> bool:
    return value is None or type(value) is str


def _same(one: Any, other: Any) -> bool:
    """Tell whether two plain values are equal and of one type; of others, whether they are one."""
    return one is other or (type(one) is type(other) and type(one) in _PLAIN and one == other)


def _copied(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))
