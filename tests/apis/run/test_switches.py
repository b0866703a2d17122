"""The switches of a training: what each changes in a config, and that rows train with them."""

import argparse
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from support.paths import ROOT
from support.tiny import write_tiny_config, write_tiny_data
from support.tools import load_tool
from support.user_folder import write_folder
from torch import nn

from mmseg_ext.apis.run import switches, training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.load import load_model
from mmseg_ext.apis.run.switch_arguments import switch_words
from mmseg_ext.core.checkpoints import read_checkpoint

ROWS = ['fmsi/fmsi_mobilenetv2_camvid.py', 'mfp/mfp_mobilenetv2_camvid.py']
SMALL = dict(
    **{f'{part}_dataloader.num_workers': 0 for part in ('train', 'val', 'test')},
    **{'max_iters': 3, 'train_dataloader.batch_size': 2, 'model.backbone.init_cfg': None},
)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp('data') / 'x', size=(64, 64), counts=(6, 1))
    return folder / 'mine.yml'


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    switches.add_switches(parser)
    return parser.parse_args(words)


def kinds(cfg: Config) -> list[str]:
    return [hook.type for hook in cfg.custom_hooks]


class Starts(Hook):
    """Keeps the weights and statistics that a training starts with."""

    def before_train(self, runner):
        self.state = {k: v.clone() for k, v in runner.model.state_dict().items()}


@pytest.mark.parametrize('row', ROWS)
def test_a_row_trains_with_all_of_them(row, data, tmp_path, monkeypatch):
    starts = Starts()
    build = training.build_runner

    def watched(*args, **kwargs):
        runner = build(*args, **kwargs)
        runner.register_hook(starts)
        return runner

    monkeypatch.setattr(training, 'build_runner', watched)
    options = [f'{key}={value}' for key, value in SMALL.items()]
    words = ['--early-stop', '1', '--ema', '0.5', '--accumulate', '2', '--balance', '--freeze',
             'backbone', '--activation-checkpointing', 'decode_head', '--seed', '1',
             '--cfg-options', *options]  # fmt: skip
    monkeypatch.setattr(sys, 'argv', ['train.py', str(ROOT / 'configs' / row), '--dataset',
                                      str(data), '--work-dir', str(tmp_path), *words])  # fmt: skip
    load_tool('train').main()
    content = read_checkpoint(tmp_path / 'iter_3.pth')
    trained = {k.removeprefix('module.'): v for k, v in content['ema_state_dict'].items()}
    still = [key for key in starts.state if torch.equal(trained[key], starts.state[key])]
    assert [k for k in starts.state if k.startswith('backbone.')] == [
        k for k in still if k.startswith('backbone.')
    ]
    weight = 'decode_head.conv_seg.weight'
    average, last = content['state_dict'][weight], trained[weight]
    assert not torch.equal(last, starts.state[weight]) and not torch.equal(average, last)
    held = {i for group in content['optimizer']['param_groups'] for i in group['params']}
    assert len(held) == len([k for k, _ in starts_parameters(data, row) if 'backbone' not in k])
    model = load_model(ROOT / 'configs' / row, tmp_path / 'iter_3.pth', device='cpu', dataset=data)
    assert torch.equal(model.state_dict()[weight], average)  # what is tested


def starts_parameters(data: Path, row: str) -> list:
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    cfg = load_config(ROOT / 'configs' / row, options=SMALL, dataset=data)
    init_default_scope('mmseg')
    parameters = MODELS.build(cfg.model).named_parameters()
    return [(key, value) for key, value in parameters if value.requires_grad]


def test_an_average_is_resumed_bit_for_bit(tiny_config, tmp_path):
    def train(folder, resume=False):
        cfg = load_config(tiny_config, work_dir=folder, options={'train_cfg.val_interval': 2})
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='IterSeedHook')]
        switches.use_accumulation(cfg, 2)
        switches.use_ema(cfg, 0.1)
        switches.use_balance(cfg)
        training.train(cfg, resume=resume)
        return read_checkpoint(folder / 'iter_6.pth')

    whole = train(tmp_path / 'whole')
    shutil.copytree(tmp_path / 'whole', tmp_path / 'killed')
    (tmp_path / 'killed/iter_6.pth').unlink()
    again = train(tmp_path / 'killed', resume=True)
    assert len(whole['ema_state_dict']) > 50
    for part in ('state_dict', 'ema_state_dict'):
        assert all(torch.equal(again[part][key], value) for key, value in whole[part].items())


def test_the_average_by_hand():
    """Steps after iterations 2, 4 and 6 leave 1, 2 and 3; the average follows each once."""
    cfg = Config(dict(model=dict(), optim_wrapper=dict(optimizer=dict()), train_cfg=dict()))
    switches.use_accumulation(cfg, 2)
    switches.use_ema(cfg, 0.5)
    from mmengine.registry import HOOKS

    model = nn.Linear(1, 1, bias=False)
    runner = argparse.Namespace(model=model, iter=0)
    (settings,) = cfg.custom_hooks
    hook = HOOKS.build(dict(settings, gamma=1e-9))  # the plain rule
    hook.before_run(runner)
    for value in (0, 1, 1, 2, 2, 3, 3):
        model.weight.data.fill_(value)
        hook.after_train_iter(runner, runner.iter)
        runner.iter += 1
    # the first is copied: 0; then 0.5, 1.25 and 2.125, whatever the iterations between
    assert hook.ema_model.module.weight.item() == 2.125


@pytest.mark.parametrize('batches', [4, 5])
def test_an_accumulated_batch_is_the_big_batch(batches):
    """Also the last step of a training whose length is no multiple, of fewer batches."""
    torch.manual_seed(0)
    images, count = torch.randn(batches, 2, 3), 2

    def trained(pieces, **settings):
        net = nn.Linear(3, 1).double()
        nn.init.constant_(net.weight, 0.5), nn.init.zeros_(net.bias)
        wrapper = OptimWrapper(torch.optim.SGD(net.parameters(), lr=0.1), **settings)
        wrapper.initialize_count_status(net, 0, len(pieces))
        for piece in pieces:
            wrapper.update_params(net(piece.double()).square().mean())
        return net.weight

    cfg = Config(dict(optim_wrapper=dict(optimizer=dict()), train_cfg=dict(max_iters=batches)))
    switches.use_accumulation(cfg, count)
    accumulated = trained(images, accumulative_counts=cfg.optim_wrapper.accumulative_counts)
    joined = [torch.cat(list(images[i : i + count])) for i in range(0, batches, count)]
    assert torch.allclose(accumulated, trained(joined), rtol=0, atol=1e-12)


def test_accumulation_of_several_optimisers():
    parts = dict(constructor='x', one=dict(optimizer=dict()), two=dict(optimizer=dict()))
    cfg = Config(dict(optim_wrapper=parts, train_cfg=dict(max_epochs=2)))
    switches.use_accumulation(cfg, 3)
    assert [cfg.optim_wrapper[name].accumulative_counts for name in ('one', 'two')] == [3, 3]


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--early-stop', '0'], '--early-stop must be at least 1'),
        (['--accumulate', '7'], '--accumulate must be from 1 to the 6 iterations, got 7'),
        (['--ema', '1'], '--ema must be between 0 and 1'),
        (['--balance', '2'], '--balance must be a share'),
        (['--compile', '--activation-checkpointing'], 'exclude each other'),
    ],
)
def test_wrong_values_are_refused(tiny_config, words, message):
    with pytest.raises(ValueError, match=message):
        switches.use_switches(load_config(tiny_config), parse(*words))


@pytest.mark.parametrize(
    ('words', 'extra', 'semi', 'message'),
    [
        (['--ema'], '', 'fixmatch', 'its teacher'),
        (['--balance'], '', 'fixmatch', 'with --semi unlabelled images are drawn'),
        (['--ema'], "custom_hooks = [dict(type='PreciseBNHook')]", None, 'PreciseBNHook in custom'),
        (['--early-stop', '2'], 'val_cfg = None\n', None, 'needs validations'),
    ],
)
def test_switches_that_fit_nothing_are_refused(tiny_config, words, extra, semi, message):
    cfg = load_config(tiny_config)
    exec(extra, {}, own := {})
    cfg.merge_from_dict({k: v for k, v in own.items() if v is not None})
    cfg.update({k: v for k, v in own.items() if v is None})
    with pytest.raises(ValueError, match=message):
        switches.use_switches(cfg, parse(*words), semi=semi)


@pytest.fixture
def warnings(monkeypatch):
    told = []
    monkeypatch.setattr(switches, 'print_log', lambda text, *_: told.append(text))
    return told


def test_a_frozen_part_without_a_start_is_warned_of(warnings):
    start = dict(type='Pretrained', checkpoint='x.pth')
    model = dict(backbone=dict(init_cfg=start), decode_head=dict(), neck=dict(inner=dict()))
    cfg = Config(dict(model=model))
    switches.use_freeze(cfg, ['backbone', 'backbone.layer1', 'decode_head', 'neck.inner'])
    assert [text.split(':')[0] for text in warnings] == [
        '--freeze decode_head', '--freeze neck.inner']  # fmt: skip
    assert len(cfg.custom_hooks) == 4


def test_without_a_compiler_it_trains_as_usual(tiny_config, monkeypatch, warnings):
    cfg = load_config(tiny_config)
    monkeypatch.setattr(switches, 'compiler_problem', lambda: 'no compiler')
    switches.use_compile(cfg)
    assert cfg.get('compile') is None
    assert warnings == ['--compile: no compiler; training without it']
    monkeypatch.setattr(switches, 'compiler_problem', lambda: None)
    switches.use_compile(cfg)
    assert cfg.compile is True


def test_the_words_say_the_same_again():
    words = '--log-to wandb mlflow --early-stop 3 --ema --balance --freeze backbone neck '
    args = parse(*words.split(), '--activation-checkpointing', '--compile', '--accumulate', '2')
    assert parse(*switch_words(args)) == args
    assert switch_words(parse()) == []


# --- several processes ----------------------------------------------------------------------------

# As in tests/engine/test_distributed.py: a batch of two is two of one, all images count alike.
EXACT = """
model = dict(
    data_preprocessor=dict(size=(40, 40)),
    backbone=dict(norm_cfg=dict(type='GN', num_groups=2, _delete_=True)),
    decode_head=dict(dropout_ratio=0, norm_cfg=dict(type='GN', num_groups=2, _delete_=True)))
train_dataloader = dict(batch_size={batch}, dataset=dict(pipeline={{{{_base_.test_pipeline}}}}))
optim_wrapper = dict(optimizer=dict(lr=0.1))
train_cfg = dict(max_iters=4, val_interval=4)
"""
TRAIN = """
import argparse
from pathlib import Path
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from mmseg_ext.apis.run import options, switches, training
from mmseg_ext.apis.run.config import load_config

@HOOKS.register_module()
class DrawnHook(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        names = [Path(sample.img_path).stem for sample in data_batch['data_samples']]
        print('drawn', batch_idx, *names)

parser = argparse.ArgumentParser()
switches.add_switches(parser)
cfg = load_config({config!r}, work_dir={folder!r})
cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='DrawnHook')]
switches.use_switches(cfg, parser.parse_args({words!r}))
options.use_launcher(cfg, {launcher!r})
training.train(cfg)
"""


def drawn_images(texts: list[str]) -> list[list[str]]:
    """Images of each step, those of all processes together."""
    steps: dict = {}
    for text in texts:
        for line in text.splitlines():
            if line.startswith('drawn '):
                _, step, *names = line.split()
                steps.setdefault(int(step), []).extend(names)
    return [steps[step] for step in range(len(steps))]


def test_two_processes_with_switches_train_as_one(tmp_path, two_ranks, tiny_config):
    """The same images, the same frozen part, the same weights and the same average of them."""
    data = write_tiny_data(tmp_path / 'data')
    for path in sorted((data / 'mask').iterdir())[1:]:  # road is in the first image only
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(mask == 2, 1, mask))
    words = ['--freeze', 'backbone.layer1', '--balance', '--ema', '0.5']
    texts, saved = {}, {}
    for count, launcher in ((1, 'none'), (2, 'pytorch')):
        extra = EXACT.format(batch=2 // count)
        base = write_tiny_config(tmp_path / f'base{count}.py', data)
        config = tmp_path / f'config{count}.py'
        config.write_text(f'_base_ = [{str(base)!r}]\n{extra}')
        folder = str(tmp_path / f'run{count}')
        place = dict(config=str(config), folder=folder, words=words, launcher=launcher)
        texts[count] = drawn_images(two_ranks(TRAIN.format(**place), count))
        saved[count] = read_checkpoint(Path(folder, 'iter_4.pth'))
    assert texts[1] == texts[2] and len(texts[1]) == 4
    drawn = sum(texts[1], [])
    assert len(drawn) == 8 and drawn.count('0') >= 2  # sqrt(6) times in a pass of seven or eight
    for part in ('state_dict', 'ema_state_dict'):
        one, two = ({k.removeprefix('module.'): v for k, v in saved[count][part].items()}
                    for count in (1, 2))  # fmt: skip
        assert list(one) == list(two) and len(one) > 20
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-6, msg=name)
    average, last = saved[2]['state_dict'], saved[2]['ema_state_dict']
    moved = {name for name in average if not torch.equal(average[name], last[f'module.{name}'])}
    still = {name for name in average if name.startswith('backbone.layer1.')}
    assert still and moved.isdisjoint(still) and len(moved) > len(average) // 2
