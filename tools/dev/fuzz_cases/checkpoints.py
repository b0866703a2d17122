"""Files that are given as weights."""

import os
import pickle
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from fuzz_world import World

from mmseg_ext.core.checkpoints import read_checkpoint

from .case import Case, Mark, Run, broken_bytes, bytes_writer


def checkpoint_cases(world: World, rng: random.Random) -> Iterator[Case]:
    """Files that are given as weights."""

    def runs(folder: Path) -> list[Run]:
        weights = folder / 'w.pth'
        photo = world.data / 'images/0.png'
        out = folder / 'out'
        start = ['--cfg-options', f'load_from={weights}', 'max_iters=1']
        return [
            ('predict', [world.config, weights, photo, '--out', out]),
            ('test', [world.config, weights, '--work-dir', out]),
            ('train', [world.config, '--work-dir', out, *start]),
        ]

    def case(name: str, write: Callable[[Path], Any], broken: bool = True) -> Case:
        lenient = ('train',) if name in _STARTS else ()
        return Case('checkpoint', name, write, runs, ('w.pth',), broken, lenient)

    whole = world.weights.read_bytes()
    for name, text in broken_bytes(whole, rng).items():
        yield case(name, bytes_writer('w.pth', text))
    for number in range(8):
        changed = bytearray(whole)
        for _ in range(4):
            changed[2000 + int(rng.random() * (len(whole) - 5000))] ^= 0x55
        yield case(f'flipped {number}', bytes_writer('w.pth', bytes(changed)))
    for name, (change, broken) in _changed_checkpoints().items():
        yield case(name, _changed_writer(world, change), broken)
    yield case('pickle with code', bytes_writer('w.pth', pickle.dumps(dict(state_dict=Mark()))))
    yield case('a folder', lambda folder: (folder / 'w.pth').mkdir())
    yield case('absent', lambda folder: None)
    yield case('a pipe', lambda folder: os.mkfifo(folder / 'w.pth'))
    yield case('a loop', lambda folder: (folder / 'w.pth').symlink_to('w.pth'))
    yield case('compressed', _repacked(world, zipfile.ZIP_DEFLATED, drop=None))
    yield case('without data.pkl', _repacked(world, zipfile.ZIP_STORED, drop='data.pkl'))
    yield case('TorchScript', lambda f: torch.jit.script(torch.nn.Linear(2, 2)).save(f / 'w.pth'))


# A training may start from weights of other classes, or from most of them.
_STARTS = (
    'half of the weights', 'another shape', 'other classes', 'more classes', 'classes are numbers',
    'classes are text', 'text as weight',
)  # fmt: skip


def _changed_checkpoints() -> dict[str, tuple[Callable[[dict], Any], bool]]:
    def only(keep: slice) -> Callable[[dict], Any]:
        return lambda c: dict(c, state_dict=dict(list(c['state_dict'].items())[keep]))

    def weight(change: Callable[[torch.Tensor], Any]) -> Callable[[dict], Any]:
        def changed(content: dict) -> dict:
            state = dict(content['state_dict'])
            name = next(key for key in state if key.endswith('conv_seg.weight'))
            return dict(content, state_dict=dict(state, **{name: change(state[name])}))

        return changed

    def meta(**values: Any) -> Callable[[dict], Any]:
        return lambda c: dict(c, meta=dict(c['meta'], **values))

    def known(**values: Any) -> Callable[[dict], Any]:
        return meta(dataset_meta=values)

    return {
        'a list': (lambda c: [1, 2], True),
        'a number': (lambda c: 3, True),
        'a tensor': (lambda c: torch.zeros(3), True),
        'an empty dict': (lambda c: {}, True),
        'no tensors': (lambda c: dict(state_dict=dict(a=1)), True),
        'state_dict is None': (lambda c: dict(c, state_dict=None), True),
        'state_dict is a list': (lambda c: dict(c, state_dict=[torch.zeros(1)]), True),
        'numbers as names': (lambda c: dict(state_dict={3: torch.zeros(1)}), True),
        'half of the weights': (only(slice(0, 8)), True),
        'no weights': (only(slice(0, 0)), True),
        'weights alone': (lambda c: c['state_dict'], False),
        'a prefix': (
            lambda c: dict(state_dict={f'module.{k}': v for k, v in c['state_dict'].items()}),
            False,
        ),
        'one more': (
            lambda c: dict(c, state_dict=dict(c['state_dict'], more=torch.zeros(2))),
            False,
        ),
        'another shape': (weight(lambda w: w.repeat(2, 1, 1, 1)), True),
        'NaN': (weight(lambda w: w * float('nan')), True),
        'infinity': (weight(lambda w: w / 0.0), True),
        'half precision': (weight(lambda w: w.half()), False),
        'whole numbers': (weight(lambda w: w.long()), False),
        'sparse': (weight(lambda w: w.flatten(1).to_sparse()), True),
        'complex': (weight(lambda w: w.to(torch.complex64)), True),
        'text as weight': (weight(lambda w: 'heavy'), True),
        'code': (lambda c: dict(c, extra=Mark()), True),
        'code in meta': (meta(extra=Mark()), True),
        'code in cfg': (meta(cfg="a = __import__('os').mkdir('MARK')\nmodel = dict()"), False),
        'meta is a list': (lambda c: dict(c, meta=[1]), False),
        'meta is None': (lambda c: dict(c, meta=None), False),
        'no meta': (lambda c: {k: v for k, v in c.items() if k != 'meta'}, False),
        'dataset_meta is text': (meta(dataset_meta='x'), False),
        'other classes': (known(classes=['cat', 'dog', 'cow']), True),
        'more classes': (known(classes=list('abcdefg')), True),
        'classes are numbers': (known(classes=[1, 2, 3]), True),
        'classes are text': (known(classes='abc'), True),
        'palette is short': (known(classes=['sky', 'tree', 'road'], palette=[[0, 0, 0]]), False),
        'palette is text': (known(classes=['sky', 'tree', 'road'], palette='red'), False),
    }


def _changed_writer(world: World, change: Callable[[dict], Any]) -> Callable[[Path], Any]:
    def write(folder: Path) -> None:
        torch.save(change(read_checkpoint(world.weights)), folder / 'w.pth')

    return write


def _repacked(world: World, method: int, drop: Any) -> Callable[[Path], Any]:
    def write(folder: Path) -> None:
        with zipfile.ZipFile(world.weights) as old:
            with zipfile.ZipFile(folder / 'w.pth', 'w', method) as new:
                for name in old.namelist():
                    if drop is None or not name.endswith(drop):
                        new.writestr(name, old.read(name))

    return write
