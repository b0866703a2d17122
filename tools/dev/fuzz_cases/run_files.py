"""What a run has left, and tables."""

import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from fuzz_world import TABLES, World, fold_words

from mmseg_ext.apis.run.folder import RunFolder

from .case import Case, Mark, Run, broken_bytes, changed_at, mutations

_RUN = RunFolder('.')
_RESULTS, _COUNTS, _SPLIT = (
    path.name for path in (_RUN.results_file(), _RUN.counts_file(), _RUN.split_file)
)


def run_file_cases(world: World, rng: random.Random) -> Iterator[Case]:
    """What a run has left, read by report, table, kfold and crf."""
    for file, offer in (
        (_RESULTS, _run_runs),
        (_COUNTS, _compare_runs),
        ('predictions/predictions.json', _run_runs),
    ):
        yield from _file_cases(world, rng, file, world.run, offer(world), share=0.35)
    for file in (f'fold0/{_RESULTS}', f'fold1/{_SPLIT}', f'fold0/{_COUNTS}'):
        yield from _file_cases(world, rng, file, world.folds, _fold_runs(world), share=0.3)
    yield from _file_cases(
        world, rng, 'predictions.json', world.predictions, _crf_runs(world), share=1.0
    )
    for name in sorted(path.name for path in (world.predictions / 'prob').iterdir())[:1]:
        yield from _file_cases(
            world, rng, f'prob/{name}', world.predictions, _crf_runs(world), share=1.0
        )
    yield from _table_cases(world, rng)


Runs = Callable[[Path], list[Run]]


def _run_runs(world: World) -> Runs:
    def runs(folder: Path) -> list[Run]:
        page = folder / 'out/page.html'
        table = ['tiny', '1', '--report', '--ignore-tolerances', '--configs']
        table.append(world.root / 'papers')
        return [
            ('report', [folder / 'in/tiny_seed0', '--out', page]),
            ('report', [folder / 'in/tiny_seed0', world.run, '--out', page]),
            ('table', [*table, '--work-dirs', folder / 'in', '--out', folder / 'out/t.md']),
        ]

    return runs


def _compare_runs(world: World) -> Runs:
    """What compares runs image by image."""

    def runs(folder: Path) -> list[Run]:
        words = [folder / 'in/tiny_seed0', world.run, '--out', folder / 'out/page.html']
        return [('report', words)]

    return runs


def _fold_runs(world: World) -> Runs:
    return lambda folder: [('kfold', fold_words(world, folder / 'in/folds'))]


def _crf_runs(world: World) -> Runs:
    setting = ['--options', 'iterations=1']
    return lambda folder: [('crf', [folder / 'in/predictions', '--out', folder / 'out', *setting])]


def _file_cases(
    world: World, rng: random.Random, file: str, source: Path, runs: Runs, *, share: float
) -> Iterator[Case]:
    content = (source / file).read_bytes()
    found: list[tuple[str, Any, bool]] = [
        (name, text, file.endswith((_RESULTS, '.npz')) or source != world.run)
        for name, text in broken_bytes(content, rng).items()
    ]
    made = _changed_arrays(content) if file.endswith('.npz') else _changed_json(content, rng, file)
    many = list(made)
    kept = max(12, int(len(many) * share))
    found += many if len(many) <= kept else rng.sample(many, kept)
    for name, text, broken in found:
        yield Case(
            'file of a run',
            f'{file}: {name}',
            _copy_writer(world, source, file, text),
            runs,
            (Path(file).name, Path(file).stem, source.name),
            broken,
        )


def _copy_writer(world: World, source: Path, file: str, text: Any) -> Callable[[Path], Any]:
    def write(folder: Path) -> None:
        target = folder / 'in' / source.name
        shutil.copytree(source, target, ignore=shutil.ignore_patterns('*.pth', '2*_*'))
        for path in source.rglob('*.pth'):  # what is tested must be there
            os.link(path, target / path.relative_to(source))
        (target / file).unlink()
        if text is not None:
            (target / file).write_bytes(text)

    return write


def _changed_json(
    content: bytes, rng: random.Random, file: str
) -> Iterator[tuple[str, bytes, bool]]:
    good = json.loads(content)
    for path, name, value in mutations(good):
        changed = changed_at(good, path, value)
        yield f'{".".join(map(str, path))} is {name}', json.dumps(changed).encode(), False
    yield 'nested', b'[' * 100000, True
    yield 'a list', b'[]', True
    yield 'null', b'null', True
    yield 'a huge number', b'{"metrics": ' + b'9' * 5000 + b'}', True
    if file.endswith('predictions.json'):
        for kind, name in (
            ('prob', 'prob/../../../x.npz'),
            ('mask', '/etc/passwd'),
            ('mask', '../x'),
        ):
            changed = changed_at(good, ('images', 0, kind), name)
            yield f'{kind} is {name}', json.dumps(changed).encode(), True
    del rng


def _changed_arrays(content: bytes) -> Iterator[tuple[str, bytes, bool]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    for name, values in arrays.items():
        changes: dict[str, Any] = {
            'absent': None,
            'one number': np.array(3),
            'empty': np.zeros((0,)),
            'text': np.array(['a', 'b']),
            'code': np.array([Mark(), 3], dtype=object),
            'of another shape': np.zeros((2, 3, 4, 5)),
        }
        if values.dtype.kind in 'fiu':
            changes['not a number'] = np.full(values.shape, np.nan)
            changes['below zero'] = -np.ones(values.shape)
            changes['huge'] = np.full(values.shape, 1e300)
        for kind, value in changes.items():
            changed = {k: v for k, v in arrays.items() if k != name}
            if value is not None:
                changed[name] = value
            buffer = io.BytesIO()
            np.savez_compressed(buffer, **changed)
            yield f'{name} is {kind}', buffer.getvalue(), kind in ('code', 'absent')


def _table_cases(world: World, rng: random.Random) -> Iterator[Case]:
    found = [(name, text) for name, text in broken_bytes(TABLES.encode(), rng).items()]
    good = yaml.safe_load(TABLES)
    changes = list(mutations(good))
    for path, name, value in rng.sample(changes, min(45, len(changes))):
        text = yaml.safe_dump(changed_at(good, path, value)).encode()
        found.append((f'{".".join(map(str, path))} is {name}', text))
    found.append(('a tag', TABLES.encode() + b'x: !!python/object/apply:os.mkdir [MARK]\n'))
    found.append(('markup', TABLES.replace('first', '<script>x</script>').encode()))
    for name, text in found:

        def write(folder: Path, text: bytes = text) -> None:
            shutil.copytree(world.root / 'papers', folder / 'papers')
            (folder / 'papers/tiny/tables.yml').write_bytes(text)

        def runs(folder: Path) -> list[Run]:
            words = ['tiny', '1', '--report', '--ignore-tolerances']
            words += ['--configs', folder / 'papers']
            return [
                (
                    'table',
                    [*words, '--work-dirs', world.root / 'runs', '--out', folder / 'out/t.md'],
                )
            ]

        names = ('tables.yml', 'table', 'tiny')
        yield Case('tables.yml', name, write, runs, names, False)
