"""Results of weights that others trained carry a star, in results.json, cards and reports."""

import pytest
import torch
from mmengine.config import Config
from support.paths import ROOT

from mmseg_ext.apis.cards.record import command
from mmseg_ext.apis.cards.results_table import results_section
from mmseg_ext.apis.convert.converted_file import converted_meta
from mmseg_ext.apis.run.config import _restates_start, load_config
from mmseg_ext.apis.run.outcome.facts import run_facts

ORIGIN = 'https://github.com/somebody/net'
CAME = dict(file='public.pth', source='somebody_net', origin=ORIGIN)


@pytest.fixture
def converted(tmp_path):
    path = tmp_path / 'ours.pth'
    meta = converted_meta('elsewhere/public.pth', source='somebody_net', origin=ORIGIN)
    torch.save(dict(state_dict={}, meta=meta), path)
    return path


def _config(text='', start=None):
    init = f"dict(type='Pretrained', checkpoint={str(start)!r})" if start else None
    return Config.fromstring(f'{text}\nmodel = dict(backbone=dict(init_cfg={init}))', '.py')


def _trained(tmp_path, cfg):
    """A checkpoint as mmengine writes it at the end of a training with ``cfg``."""
    path = tmp_path / 'iter_9.pth'
    torch.save(dict(state_dict={}, meta=dict(iter=9, seed=0, cfg=cfg.pretty_text)), path)
    return path


def test_a_converted_checkpoint_is_named_as_such(converted):
    facts = run_facts(_config("init_note = 'backbone ImageNet'"), converted)
    assert facts['converted'] == dict(part='model', **CAME)
    assert (facts['init'], facts['iterations'], facts['seed']) == ('public.pth', None, None)
    assert facts['checkpoint'] == 'ours.pth'


def test_a_training_from_converted_weights_is_ours_but_its_start(converted, tmp_path):
    came = dict(part='start', **CAME)
    cfg = _config(f"load_from = {str(converted)!r}\ninit_note = 'random unless load_from'")
    facts = run_facts(_config("init_note = 'random unless load_from'"), _trained(tmp_path, cfg))
    assert (facts['converted'], facts['init'], facts['iterations']) == (came, 'ours.pth', 9)
    cfg = _config(start=converted)
    facts = run_facts(cfg, _trained(tmp_path, cfg))
    assert (facts['converted'], facts['init']) == (came, 'ours.pth')


@pytest.mark.parametrize(
    'text, start, init',
    [
        ('', None, 'random'),
        ('', 'gone/imagenet.pth', 'imagenet.pth'),
        ("init_note = 'backbone ImageNet'", 'gone/imagenet.pth', 'backbone ImageNet'),
        ('load_from = None', None, 'random'),
    ],
)
def test_our_own_weights_have_no_star(tmp_path, text, start, init):
    cfg = _config(text, start)
    facts = run_facts(cfg, _trained(tmp_path, cfg))
    assert (facts['converted'], facts['init']) == (None, init)


@pytest.mark.parametrize(
    'options, init',
    [
        ({'model.backbone.init_cfg.checkpoint': 'mine/other.pth'}, 'other.pth'),
        ({'model.backbone.init_cfg': None}, 'random'),
        ({'model.backbone.init_cfg': None, 'init_note': 'by hand'}, 'by hand'),
        ({'max_iters': 4}, 'backbone ImageNet-1k (dequantised int8 export), head random'),
    ],
)
def test_a_changed_start_is_what_results_name(tmp_path, options, init):
    """Even where the test is given the config alone, without the options of the training."""
    path = ROOT / 'configs/fmsi/fmsi_mobilenetv2_camvid180.py'
    checkpoint = _trained(tmp_path, load_config(path, options=options))
    assert run_facts(load_config(path), checkpoint)['init'] == init


def test_a_file_that_starts_otherwise_does_not_inherit_the_note(tmp_path):
    row = ROOT / 'configs/fmsi/fmsi_mobilenetv2_camvid180.py'
    scratch, again, other, told = (tmp_path / f'{name}.py' for name in 'abcd')
    scratch.write_text(f'_base_ = {str(row)!r}\nmodel = dict(backbone=dict(init_cfg=None))')
    again.write_text("_base_ = './a.py'\nrandomness = dict(seed=3)")
    other.write_text(f"_base_ = {str(row)!r}\nmodel = dict(backbone=dict(init_cfg=dict(\n"
                     "    type='Pretrained', checkpoint='mine/other.pth')))")  # fmt: skip
    told.write_text("_base_ = './a.py'\ninit_note = 'by hand'")
    for path, init in ((scratch, 'random'), (again, 'random'), (other, 'other.pth'),
                       (told, 'by hand')):  # fmt: skip
        checkpoint = _trained(tmp_path, load_config(path))
        assert run_facts(load_config(row), checkpoint)['init'] == init, path.name


def test_every_row_keeps_its_note():
    rows = sorted((ROOT / 'configs').glob('*/[!_]*.py'))
    assert len(rows) >= 116
    assert [path.name for path in rows if _restates_start(str(path))] == []


def test_a_file_of_ours_is_no_converted_start(tmp_path):
    start = tmp_path / 'mine.pth'
    torch.save(dict(state_dict={}, meta=dict(iter=3)), start)
    cfg = _config(start=start)
    assert run_facts(cfg, _trained(tmp_path, cfg))['converted'] is None


def _record(**others):
    record = dict(
        config='net', dataset=dict(name='Voc'), init='public.pth', seed=None, iterations=None,
        metrics=dict(mIoU=dict(value=0.5)), parameters=5, intervals=dict(unit='image', units=30),
    )  # fmt: skip
    return dict(record, **others)


NOTE = f'\\* Weights converted from public.pth of {ORIGIN}, training not reproduced.'


def _cells(section):
    lines = [line for line in section.splitlines() if line.startswith('|')]
    return [[cell.strip() for cell in line.strip('| ').split(' | ')] for line in lines[2:]]


def test_rows_of_converted_weights_have_a_star_and_a_footnote():
    records = [
        _record(),
        _record(converted=dict(part='model', **CAME)),
        _record(converted=dict(part='start', **CAME), iterations=9, init='ours.pth'),
    ]
    section = results_section(records, 'p')
    assert section.count(NOTE) == 1
    found = {(row[0], row[2]) for row in _cells(section)}
    assert found == {
        ('`net`', 'public.pth'),
        ('`net` \\*', 'public.pth'),
        ('`net`', 'ours.pth \\*'),
    }
    assert '\\*' not in results_section(records[:1], 'p')


def test_a_cross_validation_marks_its_start():
    folds = _record(
        num_folds=2, folds=[0, 1], per_fold={n: [0.5, 0.6] for n in ('mIoU', 'mDice')},
        num_images=[1, 1], converted=[None, dict(part='start', **CAME)],
    )  # fmt: skip
    section = results_section([folds], 'p')
    assert _cells(section)[0][2] == 'public.pth \\*' and section.count(NOTE) == 1


def test_the_command_is_the_conversion():
    def told(**changes):
        return command(_record(converted=dict(CAME, **changes)), 'fmsi')

    assert told(part='model') == (
        'python tools/model_converters/convert.py --source somebody_net public.pth '
        'work_dirs/net/converted.pth'
    )
    assert told(part='model', source='deeplabv2').startswith(
        'python tools/model_converters/deeplabv2.py public.pth work_dirs/'
    )
    assert told(part='start') == 'python tools/train.py configs/fmsi/net.py'
