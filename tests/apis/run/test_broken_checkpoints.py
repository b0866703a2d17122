"""Every tool that takes a checkpoint, offered files with code in them, and broken ones."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.model.weight_init import PretrainedInit
from mmseg.apis import MMSegInferencer, init_model
from torch import nn

from mmseg_ext.apis.convert.converted_file import read_public_weights
from mmseg_ext.apis.predict.average import load_average
from mmseg_ext.apis.run import testing, training
from mmseg_ext.apis.run.checkpoints import read_state_dict
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.load import load_model
from mmseg_ext.apis.run.outcome.facts import run_facts
from mmseg_ext.core.saved import best_or_last, find_resumable
from mmseg_ext.engine.inflate import InflatedPretrained
from mmseg_ext.engine.vgg import VGG16BNPretrained, VGG16Pretrained


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.fixture(scope='module')
def trained(tiny_config, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('trained')
    cfg = load_config(tiny_config, work_dir=folder, options={'max_iters': 2})
    cfg.experiment_name = 'broken'
    training.train(cfg)
    return folder


@pytest.fixture
def content(trained) -> dict:
    return torch.load(trained / 'iter_2.pth', weights_only=True)


def settings(config: Path, folder: Path, **options):
    cfg = load_config(config, work_dir=folder, options={'max_iters': 3, **options})
    cfg.experiment_name = f'{folder.name}{len(list(folder.parent.iterdir()))}'
    return cfg


def entry_points(config: Path, file: Path, folder: Path) -> dict:
    """What takes a checkpoint, by a name, each called with the file."""
    start = {'model.backbone.init_cfg': dict(type='Pretrained', checkpoint=str(file))}

    def resume():
        work = folder / 'resume'
        work.mkdir()
        shutil.copy(file, work / 'iter_2.pth')
        training.train(settings(config, work), resume=True)

    def train(name, resume=False, **options):
        return lambda: training.train(settings(config, folder / name, **options), resume=resume)

    return {
        'train --resume': resume,
        'train --resume load_from': train('named', True, load_from=str(file)),
        'train load_from': train('from', load_from=str(file)),
        'train init_cfg': train('init', **start),
        'test': lambda: testing.test(settings(config, folder / 'test'), file),
        'predict': lambda: load_model(config, file, device='cpu'),
        'average': lambda: load_average(config, [file, file], device='cpu'),
        'convert': lambda: read_public_weights(file),
        'deeplabv2': lambda: read_state_dict(file),
        'report': lambda: run_facts(settings(config, folder / 'facts'), file),
        'init_model': lambda: init_model(str(config), str(file), device='cpu'),
        'inferencer': lambda: MMSegInferencer(str(config), weights=str(file), device='cpu'),
        'inferencer alone': lambda: MMSegInferencer(None, weights=str(file), device='cpu'),
        'Pretrained': lambda: PretrainedInit(str(file))(nn.Conv2d(3, 2, 1)),
        'Inflated': lambda: InflatedPretrained(str(file))(nn.Conv2d(3, 2, 1)),
        'VGG16': lambda: VGG16Pretrained(str(file))(nn.Conv2d(3, 2, 1)),
        'VGG16BN': lambda: VGG16BNPretrained(str(file))(nn.Conv2d(3, 2, 1)),
    }


ENDS = ('train --resume', 'train --resume load_from', 'train load_from', 'train init_cfg', 'test',
        'predict', 'average', 'report', 'init_model', 'inferencer')  # fmt: skip


@pytest.mark.filterwarnings('ignore')
def test_the_configs_in_a_checkpoint_are_never_run(tiny_config, content, tmp_path):
    marker = tmp_path / 'ran'
    code = f'a = __import__("os").mkdir({str(marker)!r})\nmodel = dict(type="Net")\n'
    content['meta'].update(config=code, cfg=code)
    content['message_hub']['runtime_info']['cfg'] = code
    file = tmp_path / 'code.pth'
    torch.save(content, file)
    for name, call in entry_points(tiny_config, file, tmp_path / 'runs').items():
        (tmp_path / 'runs').mkdir(exist_ok=True)
        try:
            call()
        except (ValueError, RuntimeError, AssertionError) as error:
            assert name not in ENDS, f'{name}: {error}'
        assert not marker.exists(), name


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', ['reduce', 'legacy', 'script'])
def test_pickles_with_code_are_refused_everywhere(tiny_config, content, tmp_path, kind):
    marker, file = tmp_path / 'ran', tmp_path / f'{kind}.pth'
    if kind == 'script':
        torch.jit.script(nn.Linear(2, 2)).save(str(file))
    else:
        content['meta']['note'] = Code(marker)
        torch.save(content, file, _use_new_zipfile_serialization=kind == 'reduce')
    calls = entry_points(tiny_config, file, tmp_path / 'runs')
    few = ('train --resume', 'train load_from', 'predict', 'init_model', 'Pretrained', 'VGG16')
    for name in calls if kind == 'reduce' else few:  # all read in one place
        call = calls[name]
        (tmp_path / 'runs').mkdir(exist_ok=True)
        if name == 'train --resume':  # starts at 0, and says so
            call()
        else:
            with pytest.raises(ValueError, match=file.name) as caught:
                call()
            assert '\n' not in str(caught.value), name
        assert not marker.exists(), name
    shutil.copy(file, tmp_path / 'runs' / 'best_mIoU_iter_2.pth')
    assert find_resumable(tmp_path / 'runs').path is None
    with pytest.raises(FileNotFoundError):
        best_or_last(tmp_path / 'runs')
    assert not marker.exists()


def without(content: dict, *keys: str) -> dict:
    return {key: value for key, value in content.items() if key not in keys}


BROKEN = {
    'no state': (lambda c: without(c, 'state_dict'), 'holds no weights'),
    'empty state': (lambda c: dict(c, state_dict={}), 'holds no weights'),
    'text as state': (lambda c: dict(c, state_dict='a'), 'holds no weights'),
    'a tensor less': (lambda c: dict(c, state_dict=dict(list(c['state_dict'].items())[1:])),
                      '1 missing from the file'),
    'another shape': (lambda c: dict(c, state_dict={k: v[:1] for k, v in c['state_dict'].items()
                                                    if v.dim()}), 'of another shape'),
    'NaN': (lambda c: dict(c, state_dict={k: v * float('nan') if v.is_floating_point() else v
                                          for k, v in c['state_dict'].items()}), 'not finite'),
    'no meta': (lambda c: without(c, 'meta'), 'how many iterations'),
    'meta of text': (lambda c: dict(c, meta='a'), 'how many iterations'),
    'no iter': (lambda c: dict(c, meta=without(c['meta'], 'iter')), 'how many iterations'),
    'iter -1': (lambda c: dict(c, meta=dict(c['meta'], iter=-1)), 'how many iterations'),
    'iter of text': (lambda c: dict(c, meta=dict(c['meta'], iter='2')), 'how many iterations'),
    'iter 1e9': (lambda c: dict(c, meta=dict(c['meta'], iter=10**9)), 'ends after 3'),
    'no optimiser': (lambda c: without(c, 'optimizer'), 'no state of the optimiser'),
    'optimiser of text': (lambda c: dict(c, optimizer='a'), 'no state of the optimiser'),
    'a group less': (lambda c: dict(c, optimizer=dict(state={}, param_groups=[])),
                     'another optimiser'),
    'odd groups': (lambda c: dict(c, optimizer=dict(state={}, param_groups=['a'])),
                   'no state of the optimiser'),
    'momentum of another shape': (lambda c: dict(c, optimizer=dict(
        c['optimizer'], state={0: dict(momentum_buffer=torch.ones(7))})), 'another optimiser'),
    'no history': (lambda c: without(c, 'message_hub'), 'no history'),
    'odd history': (lambda c: dict(c, message_hub=dict(c['message_hub'], log_scalars=3)),
                    'no history'),
    'history of text': (lambda c: dict(c, message_hub=dict(
        c['message_hub'], log_scalars={'train/loss': 'a'})), 'no history'),
    'curves of unequal length': (lambda c: dict(c, message_hub=dict(
        c['message_hub'], log_scalars={'train/loss': dict(values=[1.0, 2.0], counts=[1],
                                                          max_length=9)})), 'no history'),
    'sparse weights': (lambda c: dict(c, state_dict={
        k: v.to_sparse() if v.dim() == 4 else v for k, v in c['state_dict'].items()}),
        'is sparse'),
    'odd notes': (lambda c: dict(c, message_hub=dict(c['message_hub'], runtime_info=dict(
        keep_ckpt_ids='ab', last_ckpt=3, best_ckpt=7, best_score='x'))), None),
    'half a note': (lambda c: dict(c, message_hub=dict(c['message_hub'], runtime_info=dict(
        keep_ckpt_ids=['a'], best_score=99.0))), None),
    'a number as list': (lambda c: dict(c, message_hub=dict(c['message_hub'], runtime_info=dict(
        keep_ckpt_ids=3))), None),
    'odd schedule': (lambda c: dict(c, param_schedulers='a'), None),
    'a schedule less': (lambda c: dict(c, param_schedulers=[]), None),
    'other classes': (lambda c: dict(c, meta=dict(c['meta'], dataset_meta=dict(
        classes=['a', 'b', 'c']))), r'\(a, b, c\).*\(sky, tree, road\)'),
    'another seed': (lambda c: dict(c, meta=dict(c['meta'], seed=7)), 'the seed 7, not 1'),
}  # fmt: skip


@pytest.mark.parametrize('kind', BROKEN)
def test_what_cannot_go_on_is_refused_in_one_line(tiny_config, content, tmp_path, kind):
    """Named as the file to go on from, where nothing may be skipped, and nothing stays behind."""
    change, reason = BROKEN[kind]
    file = tmp_path / 'broken.pth'
    torch.save(change(content), file)
    cfg = settings(tiny_config, tmp_path / 'run', load_from=str(file))
    if reason is None:  # what follows from the config is made anew
        training.train(cfg, resume=True)
        return
    with pytest.raises(ValueError, match=reason) as caught:
        training.train(cfg, resume=True)
    assert 'broken.pth' in str(caught.value) and '\n' not in str(caught.value)
    assert not (tmp_path / 'run').exists()


def test_tests_refuse_other_classes_and_weights_that_are_no_numbers(tiny_config, content, tmp_path):
    for kind in ('NaN', 'other classes', 'a tensor less', 'empty state'):
        change, reason = BROKEN[kind]
        file = tmp_path / 'broken.pth'
        torch.save(change(content), file)
        with pytest.raises(ValueError, match=reason):
            testing.test(settings(tiny_config, tmp_path / 'run'), file)
        if kind != 'other classes':
            with pytest.raises(ValueError, match=reason):
                load_model(tiny_config, file, device='cpu')
            with pytest.raises(ValueError, match=reason):
                load_average(tiny_config, [file], device='cpu')


def test_a_failed_resume_leaves_the_folder_as_it_was(tiny_config, trained, tmp_path):
    """The config that lies there is the old run's, not the one of the failed attempt."""
    shutil.copytree(trained, tmp_path / 'run')
    before = {p: p.read_bytes() for p in (tmp_path / 'run').rglob('*') if p.is_file()}
    cfg = settings(tiny_config, tmp_path / 'run', **{'model.decode_head.channels': 4})
    with pytest.raises(ValueError, match='another model'):
        training.train(cfg, resume=True)
    after = {p: p.read_bytes() for p in (tmp_path / 'run').rglob('*') if p.is_file()}
    assert {p: c for p, c in after.items() if not p.name.startswith('.')} == before


def test_weights_behind_an_address_without_a_network(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    address = 'https://127.0.0.1:9/mit_b0.pth'
    options = {'model.backbone.init_cfg': dict(type='Pretrained', checkpoint=address)}
    with pytest.raises(FileNotFoundError) as caught:
        training.train(settings(tiny_config, tmp_path / 'run', **options))
    assert address in str(caught.value) and 'init_cfg.checkpoint=FILE' in str(caught.value)
    assert not (tmp_path / 'run').exists()
