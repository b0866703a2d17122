"""A list on disk against the list itself."""

import random
import tracemalloc

import pytest

from mmseg_ext.core.spool import Mapped, Spool

COUNTS = [0, 1, 2047, 2048, 2049, 2303, 2304, 2305, 3000]


@pytest.mark.parametrize('count', COUNTS)
def test_a_spool_is_a_list(count):
    items = [(number, 'x' * (number % 7)) for number in range(count)]
    spool: Spool = Spool()
    for number, item in enumerate(items):
        spool.append(item)
        assert len(spool) == number + 1 and spool.at(number) == item
    stored = spool.all()
    assert list(stored) == items and len(stored) == count
    for part in (slice(3), slice(-2, None), slice(None, None, -3), slice(2300, 2310)):
        assert list(stored[part]) == items[part]
    order = random.Random(0).sample(range(count), count)
    assert [stored[place] for place in order] == [items[place] for place in order]
    assert list(stored.take(order)[1:]) == [items[place] for place in order][1:]
    with pytest.raises(IndexError):
        stored[count]


def test_items_that_are_added_while_others_are_read():
    spool: Spool = Spool()
    seen = []
    for number in range(5000):
        spool.append(number)
        seen.append(spool.at(number // 2))
    assert seen == [number // 2 for number in range(5000)]


def test_memory_does_not_grow_with_the_items():
    held = []
    for count in (2560, 25600):
        tracemalloc.start()
        spool: Spool = Spool()
        for number in range(count):
            spool.append(f'{number:0500d}')
        assert sum(map(len, spool.all())) == 500 * count
        held.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert held[1] < 1.2 * held[0]


def test_items_are_made_at_each_access():
    made = []
    squares = Mapped([1, 2, 3], lambda value: made.append(value) or value**2)
    assert len(squares) == 3 and made == []
    assert squares[1] == 4 and made == [2]
    assert list(squares) == [1, 4, 9] and list(squares[::-1]) == [9, 4, 1]
