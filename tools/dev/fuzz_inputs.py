"""Bad inputs of every kind that a tool takes, made from a seed.

Each maker yields cases: how the input is written, which tools get it, and what their answer must
name. ``broken`` says that there is no right answer but a refusal.
"""

import copy
import io
import json
import os
import pickle
import random
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from fuzz_world import DATA_FILE, SIZE, TABLES, World, fold_words
from PIL import Image

from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.core.checkpoints import read_checkpoint

_RUN = RunFolder('.')
_RESULTS, _COUNTS, _SPLIT = (
    path.name for path in (_RUN.results_file(), _RUN.counts_file(), _RUN.split_file)
)

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


# ------------------------------------------------------------------------------- bytes


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


# ------------------------------------------------------------------------------ images


def pictures(rng: random.Random) -> dict[str, tuple[bytes, bool]]:
    """Name to content of an image file, and whether it is broken for certain."""
    found: dict[str, tuple[bytes, bool]] = {}
    for end in ('png', 'jpg', 'bmp', 'tif', 'webp', 'gif', 'ppm'):
        content = _encoded(rng, end)
        found[f'whole.{end}'] = content, False
        for place, share in enumerate((0.01, 0.2, 0.5, 0.9)):
            found[f'cut{place}.{end}'] = content[: max(1, int(len(content) * share))], True
        for name, text in broken_bytes(content, rng).items():
            if not name.startswith('cut'):
                found[f'{name.replace(" ", "-")}.{end}'] = text, True
        for number in range(6):
            found[f'flipped{number}.{end}'] = _flipped(content, rng, within=200), False
    for end in ('png', 'bmp', 'gif', 'tif'):
        found[f'bomb.{end}'] = _bomb(end), True
    found.update(_odd_pictures(rng))
    return found


def _encoded(rng: random.Random, end: str, mode: str = 'RGB', size: Any = (SIZE, SIZE)) -> bytes:
    noise = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, (*size[::-1], 4))
    image = Image.fromarray(noise.astype(np.uint8), 'RGBA').convert(mode)
    buffer = io.BytesIO()
    kind = dict(jpg='JPEG', tif='TIFF').get(end, end.upper())
    image.save(buffer, kind)
    return buffer.getvalue()


def _flipped(content: bytes, rng: random.Random, *, within: int) -> bytes:
    changed = bytearray(content)
    for _ in range(3):
        changed[rng.randrange(4, min(within, len(changed)))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _bomb(end: str) -> bytes:
    """A file that claims to be far larger than it is."""
    if end == 'png':
        head = struct.pack('>IIBBBBB', 60000, 60000, 8, 2, 0, 0, 0)
        chunks = [(b'IHDR', head), (b'IDAT', zlib.compress(bytes(5000))), (b'IEND', b'')]
        body = b''.join(
            struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
            for name, data in chunks
        )
        return b'\x89PNG\r\n\x1a\n' + body
    if end == 'bmp':
        return b'BM' + struct.pack(
            '<IHHIIiiHHIIiiII', 999, 0, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0
        )
    if end == 'gif':
        return b'GIF89a' + struct.pack('<HH', 65535, 65535) + b'\x80\0\0' + bytes(6) + b'\x3b'
    tags = [(256, 4, 100000), (257, 4, 100000), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 4, 100000), (279, 4, 100)]
    body = b''.join(struct.pack('<HHII', tag, kind, 1, value) for tag, kind, value in tags)
    return b'II*\0' + struct.pack('<IH', 8, len(tags)) + body + bytes(4)


def _odd_pictures(rng: random.Random) -> dict[str, tuple[bytes, bool]]:
    """Whole files of rare kinds."""
    found = {
        'cmyk.jpg': _encoded(rng, 'jpg', 'CMYK'),
        'grey.png': _encoded(rng, 'png', 'L'),
        'alpha.png': _encoded(rng, 'png', 'RGBA'),
        'one bit.png': _encoded(rng, 'png', '1'),
        'palette.png': _encoded(rng, 'png', 'P'),
        'one pixel.png': _encoded(rng, 'png', size=(1, 1)),
        'narrow.png': _encoded(rng, 'png', size=(1, 5000)),
        'flat.png': _encoded(rng, 'png', size=(5000, 2)),
        'no_ending_fits.jpg': _encoded(rng, 'png'),
        'deep.png': _of_array(np.full((SIZE, SIZE), 4000, np.uint16), 'PNG'),
        'float.tif': _of_array(np.full((SIZE, SIZE), 0.5, np.float32), 'TIFF'),
        'nan.tif': _of_array(np.full((SIZE, SIZE), np.nan, np.float32), 'TIFF'),
        'long.tif': _of_array(np.full((SIZE, SIZE), 70000, np.int32), 'TIFF'),
        'two_pages.tif': _pages('TIFF'),
        'animated.gif': _pages('GIF'),
        'a' * 251 + '.png': _encoded(rng, 'png'),
        'a' * 251 + '.bmp': _encoded(rng, 'bmp'),
        '<b>bold</b>.png': _encoded(rng, 'png'),
        'a&b "quoted" %s.png': _encoded(rng, 'png'),
        'two\nlines.png': _encoded(rng, 'png'),
        'latin\udcff.png': _encoded(rng, 'png'),
        'x.jpg': _encoded(rng, 'jpg'),
        'x.png': _encoded(rng, 'png'),
        'x.jpg.png': _encoded(rng, 'png'),
    }
    return {name.replace('/', '|'): (content, False) for name, content in found.items()}


def _of_array(values: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


def _pages(kind: str) -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new('P', (SIZE, SIZE), value) for value in (10, 200)]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


# ------------------------------------------------------------------------- checkpoints


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
        yield case(name, _bytes_writer('w.pth', text))
    for number in range(8):
        changed = bytearray(whole)
        for _ in range(4):
            changed[2000 + int(rng.random() * (len(whole) - 5000))] ^= 0x55
        yield case(f'flipped {number}', _bytes_writer('w.pth', bytes(changed)))
    for name, (change, broken) in _changed_checkpoints().items():
        yield case(name, _changed_writer(world, change), broken)
    yield case('pickle with code', _bytes_writer('w.pth', pickle.dumps(dict(state_dict=Mark()))))
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


def _bytes_writer(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content)


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


# -------------------------------------------------------------------------- data files


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
    for path, name, value in _mutations(good):
        changed = _changed(good, path, value)
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


_VALUES: dict[str, Any] = {
    'null': None, 'text': 'words', 'empty text': '', 'a number': -7, 'huge': 10**30,
    'a fraction': 0.5, 'not a number': float('nan'), 'a list': [1, 'x'], 'a dict': {'a': 1},
    'true': True, 'long': 'x' * 5000, 'nowhere': '../nowhere', 'null byte': 'a\0b',
}  # fmt: skip


def _mutations(content: Any) -> Iterator[tuple[tuple, str, Any]]:
    """Every place of a nested content, and what could stand there instead."""
    places = list(_places(content))
    for number, path in enumerate(places):
        names = list(_VALUES)
        for step in range(4):  # not all values at all places
            name = names[(number * 4 + step) % len(names)]
            yield path, name, _VALUES[name]
        yield path, 'absent', _ABSENT


_ABSENT = object()


def _places(content: Any, path: tuple = ()) -> Iterator[tuple]:
    items: Any = ()
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list):
        items = list(enumerate(content))[:2]
    for key, value in items:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _changed(content: Any, path: tuple, value: Any) -> Any:
    changed = copy.deepcopy(content)
    place = changed
    for key in path[:-1]:
        place = place[key]
    if value is _ABSENT:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed


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


# --------------------------------------------------------------------- configs, options


def config_cases(world: World, rng: random.Random) -> Iterator[Case]:
    """Files that are given as a config."""
    texts = {
        'absent': None,
        'a folder': 'folder',
        'no Python': 'model = dict(\n',
        'a name that is not': 'model = nothing\n',
        'no base': "_base_ = './gone.py'\n",
        'itself as base': "_base_ = './c.py'\n",
        'a .yml as base': "_base_ = './c.yml'\n",
        'no model': 'a = 1\n',
        'model is a list': 'model = [1]\n',
        'stops': "raise RuntimeError('no')\n",
        'exits': 'import sys\nsys.exit(3)\n',
        'latin-1': 'a = "\xf6"\n'.encode('latin-1'),
        'null bytes': b'a = 1\0\n',
        'a bare base': f'_base_ = {str(world.config)!r}\ndel_ = 1\ntrain_dataloader = None\n',
    }
    base = f'_base_ = {str(world.config)!r}\n'
    texts.update({name: base + line + '\n' for name, line in _CONFIG_LINES.items()})
    for name, text in texts.items():
        yield _config_case(world, name, text)


_CONFIG_LINES = {
    'unknown backbone': "model = dict(backbone=dict(type='ResNetV9'))",
    'a typo in the model': 'model = dict(decode_head=dict(num_clases=3))',
    'a typo at the top': 'train_dataloder = dict()',
    'a typo in the loader': 'train_dataloader = dict(batchsize=2)',
    'words as classes': "model = dict(decode_head=dict(num_classes='three'))",
    'one class': 'model = dict(decode_head=dict(num_classes=1))',
    'no class': 'model = dict(decode_head=dict(num_classes=0))',
    'other channels': 'model = dict(decode_head=dict(in_channels=33))',
    'index out': 'model = dict(decode_head=dict(in_index=9))',
    'an unknown step': "test_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadNothing')]))",
    'no steps': 'test_dataloader = dict(dataset=dict(pipeline=[]))',
    'no folder': "train_dataloader = dict(dataset=dict(data_root='/nowhere'))",
    'an unknown optimiser': "optim_wrapper = dict(optimizer=dict(type='Faster'))",
    'an unknown metric': "test_evaluator = dict(type='Best')",
    'words as iterations': "train_cfg = dict(max_iters='many')",
    'crop is text': "crop_size = 'big'",
    'crop below zero': 'train_dataloader = dict(dataset=dict(pipeline=[dict('
    "type='LoadImageFromFile'), dict(type='LoadLabels'), dict(type='RandomCrop', "
    "crop_size=(-3, 4)), dict(type='PackSegInputs')]))",
    'size below zero': 'model = dict(data_preprocessor=dict(size=(-8, 8)))',
    'mean of two': 'model = dict(data_preprocessor=dict(mean=[1.0, 2.0], std=[1.0, 1.0]))',
    'std of zero': 'model = dict(data_preprocessor=dict(std=[0.0, 1.0, 1.0]))',
    'unknown loss': "model = dict(decode_head=dict(loss_decode=dict(type='Lost')))",
    'unknown hook': "custom_hooks = [dict(type='Hooked')]",
    'batch of text': "train_dataloader = dict(batch_size='two')",
    'no package': "custom_imports = dict(imports=['nothing_of_the_kind'])",
    'slide without crop': "model = dict(test_cfg=dict(mode='slide'))",
    'another mode': "model = dict(test_cfg=dict(mode='slid'))",
    'stride of zero': 'model = dict(test_cfg=dict('
    "mode='slide', crop_size=(32, 32), stride=(0, 0)))",
}


def _config_case(world: World, name: str, text: Any) -> Case:
    def write(folder: Path) -> None:
        (folder / 'c.yml').write_text('model: !!python/object/apply:os.mkdir [MARK]\n')
        if text == 'folder':
            (folder / 'c.py').mkdir()
        elif text is not None:
            (folder / 'c.py').write_bytes(text if isinstance(text, bytes) else text.encode())

    def runs(folder: Path) -> list[Run]:
        config, out = folder / 'c.py', folder / 'out'
        short = ['--cfg-options', 'max_iters=1']
        photo = world.data / 'images/0.png'
        return [
            ('train', [config, '--work-dir', out / 'train', *short]),
            ('test', [config, world.weights, '--work-dir', out / 'test']),
            ('predict', [config, world.weights, photo, '--out', out]),
        ]

    words = ['c.py', *_named_in(text)]
    return Case('config', name, write, runs, words, False)


def _named_in(text: Any) -> list[str]:
    """Settings that a line is about: naming one of them is as clear as naming the file."""
    line = text.splitlines()[-1] if isinstance(text, str) and text.strip() else ''
    names = line.replace('(', ' ').replace('=', ' ').replace("'", ' ').replace(',', ' ').split()
    return [name for name in names if len(name) > 3 and name not in ('dict', 'model', 'type')]


_OPTIONS = {
    'no value': ['max_iters'], 'no number': ['max_iters=abc'], 'below zero': ['max_iters=-3'],
    'zero': ['max_iters=0'], 'a fraction': ['max_iters=1.5'], 'a list': ['max_iters=[1]'],
    'an open list': ['model.decode_head.channels=[1'], 'nowhere': ['model.nothing.here=1'],
    'a typo': ['model.decode_head.num_clases=3'], 'batch 0': ['train_dataloader.batch_size=0'],
    'batch -1': ['train_dataloader.batch_size=-1'], 'no file': ['load_from=/nowhere.pth'],
    'empty': [''], 'equals': ['=3'], 'index out': ['train_dataloader.dataset.pipeline.99.type=X'],
    'into text': ['model.type.x=1'], 'other classes': ['model.decode_head.num_classes=5'],
    'one class': ['model.decode_head.num_classes=1'],
    'workers': ['train_dataloader.num_workers=-1'],
    'rate': ['optim_wrapper.optimizer.lr=fast'], 'rate below': ['optim_wrapper.optimizer.lr=-1'],
    'model gone': ['model=None'], 'loader gone': ['train_dataloader=None'],
    'interval 0': ['train_cfg.val_interval=0'], 'seed': ['randomness.seed=x'],
    'a long name': ['a' * 3000 + '=1'], 'code': ['model.type=__import__("os").mkdir("MARK")'],
}  # fmt: skip


def option_cases(world: World, rng: random.Random) -> Iterator[Case]:
    """Settings and other arguments of the tools."""
    del rng
    for name, words in _OPTIONS.items():
        yield _option_case(world, f'--cfg-options {name}', ['--cfg-options', *words], 'train')
    for name, words in {
        'seed': ['--seed', 'x'], 'work-dir is a file': ['--work-dir', 'FILE'],
        'dataset is an image': ['--dataset', world.data / 'images/0.png'],
        'dataset is a folder': ['--dataset', world.data], 'fold alone': ['--fold', '0'],
        'fold out': ['--fold', '9', '--num-folds', '2'],
        'folds': ['--fold', '0', '--num-folds', '0'],
        'more folds than images': ['--fold', '0', '--num-folds', '999'], 'unknown': ['--nothing'],
        'launcher': ['--launcher', 'rocket'],
    }.items():  # fmt: skip
        yield _option_case(world, name, words, 'train')
    for name, words in {
        'no such device': ['--device', 'cuda:77'], 'no device': ['--device', 'abacus'],
        'dataset': ['--dataset', 'gone.yml'], 'option': ['--cfg-options', 'model.typo=1'],
        'out is a file': ['--out', 'FILE'], 'no such input': ['gone.png'],
    }.items():  # fmt: skip
        yield _option_case(world, name, words, 'predict')


def _option_case(world: World, name: str, words: list[Any], tool: str) -> Case:
    def runs(folder: Path) -> list[Run]:
        given = [folder / 'FILE' if word == 'FILE' else word for word in words]
        if tool == 'train':
            place = [] if '--work-dir' in words else ['--work-dir', folder / 'out']
            return [('train', [world.config, *place, *given])]
        out = [] if '--out' in words else ['--out', folder / 'out']
        photo = world.data / 'images/0.png'
        return [('predict', [world.config, world.weights, photo, *out, *given])]

    names = [str(word).split('=')[0].split('.')[-1] for word in words if str(word)]
    names += [Path(str(word)).name for word in words if str(word)]
    return Case(
        'option', name, lambda f: (f / 'FILE').touch(), runs, [n for n in names if n], False
    )


# -------------------------------------------------------------------------- files of runs


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
    for path, name, value in _mutations(good):
        changed = _changed(good, path, value)
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
            changed = _changed(good, ('images', 0, kind), name)
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
    changes = list(_mutations(good))
    for path, name, value in rng.sample(changes, min(45, len(changes))):
        text = yaml.safe_dump(_changed(good, path, value)).encode()
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


MAKERS: dict[str, Callable[[World, random.Random], Iterator[Case]]] = {
    'checkpoints': checkpoint_cases,
    'data': data_file_cases,
    'configs': config_cases,
    'options': option_cases,
    'runs': run_file_cases,
}
