"""Files by their stems, against a listing with Python's own dicts and sorting."""

import os
import random

import pytest

from mmseg_ext.datasets.stem_files import StemFiles, files_by_stem, walk_files

SUFFIXES = ('_mask.png', '.jpg', '.png')


def by_hand(folder: str, suffixes) -> dict:
    """All paths in the order of their parts, each cut at the first suffix that fits."""
    paths = [
        os.path.relpath(os.path.join(place, name), folder)
        for place, _, names in os.walk(folder)
        for name in names
    ]
    found = {}
    for below in sorted(paths, key=lambda path: path.split(os.sep)):
        fits = [suffix for suffix in suffixes if below.lower().endswith(suffix)]
        if fits:
            found[below[: -len(fits[0])]] = os.path.join(folder, below)
    return found


def make(folder, names) -> str:
    for name in names:
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, 'wb').close()
    return str(folder)


def names_of_many_kinds(seed: int) -> list[str]:
    random.seed(seed)
    letters = ['a', 'b', '-', '.', '_', 'Z', 'é', '漢', '🙂', '\udcff', '\uffee']
    folders = ['', 'a/', 'a-b/', 'a/deep/er/', 'é/']
    stems = {
        random.choice(folders) + 'x' + ''.join(random.choices(letters, k=random.randint(0, 6)))
        for _ in range(400)
    }
    endings = ['.png', '.PNG', '.jpg', '.txt', '_mask.png']
    return [stem + random.choice(endings) for stem in sorted(stems)]


@pytest.mark.parametrize('seed', range(3))
def test_any_names_are_found_as_by_hand(tmp_path, seed):
    home = make(tmp_path, names_of_many_kinds(seed))
    wanted = by_hand(home, SUFFIXES)
    found = StemFiles(home, SUFFIXES)
    assert len(wanted) > 200 and len(found) == len(wanted)
    assert list(found) == sorted(wanted) and dict(found) == wanted
    assert list(files_by_stem(home, SUFFIXES).items()) == list(wanted.items())  # in the same order
    assert [found.stem_at(place) for place in range(len(found))] == sorted(wanted)


def test_many_are_looked_up_at_once(tmp_path):
    home = make(tmp_path, [f'{number:05d}.png' for number in range(0, 10_000, 2)])
    found = StemFiles(home, SUFFIXES)
    asked = [f'{number:05d}' for number in range(10_000)] + ['', 'a', '000000', '00000' * 9]
    random.Random(0).shuffle(asked)
    order = {stem: place for place, stem in enumerate(found)}
    assert found.places(asked).tolist() == [order.get(stem, -1) for stem in asked]
    assert '00002' in found and '00003' not in found and '000020' not in found
    with pytest.raises(KeyError, match='00003'):
        found['00003']


def test_an_empty_stem_is_not_taken_for_a_long_one(tmp_path):
    found = StemFiles(make(tmp_path, ['_mask.png', 'b.png']), SUFFIXES)
    assert list(found) == ['', 'b'] and found.places(['much longer', '']).tolist() == [-1, 0]


def test_nothing_is_found_where_nothing_is(tmp_path):
    for folder in (tmp_path, tmp_path / 'absent'):
        found = StemFiles(folder, SUFFIXES)
        assert len(found) == 0 and dict(found) == {} and found.places(['a']).tolist() == [-1]


def test_of_several_that_are_twice_the_first_is_named(tmp_path):
    home = make(tmp_path, ['a/x.png', 'a/x.jpg', 'a-b/y.PNG', 'a-b/y.png', 'c.png'])
    with pytest.raises(ValueError, match=r'a/x\.jpg and .*a/x\.png have the same stem'):
        StemFiles(home, SUFFIXES)


def test_files_are_walked_folder_by_folder(tmp_path):
    names = ['b.txt', 'a.txt', 'z/1.txt', 'z/0.txt', 'k/q/5.txt', 'k/9.txt', '__MACOSX/no.txt',
             '.hidden/no.txt', '.dot.txt']  # fmt: skip
    home = make(tmp_path, names)
    found = [str(path.relative_to(home)) for path in walk_files(home)]
    assert found == ['.dot.txt', 'a.txt', 'b.txt', 'k/9.txt', 'k/q/5.txt', 'z/0.txt', 'z/1.txt']
    many = make(tmp_path / 'many', [f'{number}.txt' for number in range(9000)])
    assert [path.name for path in walk_files(many)] == sorted(f'{n}.txt' for n in range(9000))
