"""Data set files, and the lists and groups that they name."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from fuzz_world import DATA_FILE, World

from .case import Case, Run, broken_bytes, changed_at, mutations


def data_file_cases(world: World, rng: random.Random) -> Iterator[Case]:
    """``my_data.yml`` and the lists and groups that it names."""
    place = 0
    for name, text, broken in _data_files(rng):
        place += 1
        yield _data_case(world, name, {'my_data.yml': text}, broken, more=place % 5 == 0)
    for file in ('train.txt', 'val.txt', 'groups.csv'):
        for name, text, broken in _lists(world, file, rng):
            place += 1
            yield _data_case(world, f'{file}: {name}', {file: text}, broken, more=place % 5 == 0)


def _data_case(world: World, name: str, files: dict, broken: bool, *, more: bool) -> Case:
    def write(folder: Path) -> None:
        shutil.copytree(world.data, folder / 'data')
        for file, text in files.items():
            path = folder / 'data' / file
            path.unlink()
            if text is not None:
                path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def runs(folder: Path) -> list[Run]:
        file = folder / 'data/my_data.yml'
        found: list[Run] = [('dataset', ['check', file, '--out', folder / 'out/check.html'])]
        if more:
            words = ['--dataset', file]
            short = ['--cfg-options', 'max_iters=1']
            photo = world.data / 'images/0.png'
            found += [
                ('train', [world.config, *words, '--work-dir', folder / 'out/train', *short]),
                ('test', [world.config, world.weights, *words, '--work-dir', folder / 'out/test']),
                ('predict', [world.config, world.weights, photo, *words, '--out', folder / 'out']),
            ]
        return found

    return Case('data file', name, write, runs, ('my_data', *files), broken)


def _data_files(rng: random.Random) -> Iterator[tuple[str, Any, bool]]:
    for name, content in broken_bytes(DATA_FILE.encode(), rng).items():
        yield name, content, not name.startswith('cut')
    good = yaml.safe_load(DATA_FILE)
    for path, name, value in mutations(good):
        changed = changed_at(good, path, value)
        yield f'{".".join(map(str, path))} is {name}', yaml.safe_dump(changed), False
    extra = {
        'a tag': (f'{DATA_FILE}x: !!python/object/apply:os.mkdir [MARK]\n', True),
        'a tag in name': (DATA_FILE.replace('small', '!!python/name:os.system'), True),
        'a bomb': ('a: &a [x, x]\n' + ''.join(
            f'{chr(98 + i)}: &{chr(98 + i)} [{",".join([f"*{chr(97 + i)}"] * 9)}]\n'
            for i in range(9)), True),
        'nested': ('classes: ' + '[' * 3000 + ']' * 3000, True),
        'itself': ('&a {name: *a}', True),
        'twice': (DATA_FILE + 'name: other\n', True),
        'unknown key': (DATA_FILE + 'trian: {}\n', True),
        'latin-1': (DATA_FILE.replace('small', 'gr\xf6\xdfe').encode('latin-1'), True),
        'UTF-16': (DATA_FILE.encode('utf-16'), False),
        'a mark at the start': (b'\xef\xbb\xbf' + DATA_FILE.encode(), False),
        'tabs': (DATA_FILE.replace('- {', '\t- {'), True),
        'two documents': (DATA_FILE + '---\na: 1\n', True),
        'a list': ('- a\n- b\n', True),
        'null bytes': (DATA_FILE.replace('small', 'sm\0all'), True),
        'absent': (None, True),
        'many classes': (DATA_FILE.replace('classes:', 'classes:\n' + ''.join(
            f'- {{name: k{i}, value: {i + 3}}}\n' for i in range(300)).rstrip()), False),
        'equal names': (DATA_FILE.replace('tree', 'sky'), True),
        'equal values': (DATA_FILE.replace('value: 1', 'value: 0'), True),
        'markup': (DATA_FILE.replace('tree', '<script>alert(1)</script>'), False),
        'path out': (DATA_FILE.replace('name: small', 'name: ../../small'), True),
    }  # fmt: skip
    for name, (text, broken) in extra.items():
        yield name, text, broken


def _lists(world: World, file: str, rng: random.Random) -> Iterator[tuple[str, Any, bool]]:
    good = (world.data / file).read_text()
    yield 'absent', None, True
    yield 'empty', '', file != 'groups.csv'
    yield 'not UTF-8', b'\xff\xfe\xfa' + good.encode(), True
    yield 'noise', bytes(rng.randrange(256) for _ in range(300)), True
    yield 'stems that are not there', good + 'nobody\nnothing\n', file != 'groups.csv'
    yield 'a stem twice', good + good.splitlines()[-1] + '\n', False
    yield 'out of the folder', good + '../../etc/passwd\n', file != 'groups.csv'
    yield 'a long line', 'x' * 100000, True
    yield 'null bytes', good + 'a\0b\n', True
    yield 'CRLF', good.replace('\n', '\r\n'), False
