"""Configs, and options that change them."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzz_world import World

from .case import Case, Run


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
