"""The comparison of two records of configs: what is equal is, and each kind of difference shows."""

import hashlib
import json
import sys

import pytest
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from support.paths import ROOT
from torch import nn

sys.path.insert(0, str(ROOT / 'tools/dev'))

import compare_networks as tool
import config_facts
from tiny_model import TINY_MODEL

SETTINGS = (
    "train_dataloader = dict(batch_size=2, dataset=dict(ann_file='{{ fileDirname }}/a.txt'))\n"
)
EQUAL = [f'{kind}: 2 of 2 equal' for kind in (
    'parameters', 'trainable', 'keys', 'weights', 'logits', 'losses', 'settings')]  # fmt: skip


def write_configs(root, *, names=('one', 'two'), classes=3, changes=()):
    """A folder of configs with one base, a list of names and rows; ``changes`` are (old, new)."""
    folder = root / 'configs' / 'paper'
    folder.mkdir(parents=True)
    (folder / 'a.txt').write_text('first\n')
    text = TINY_MODEL.format(classes=classes) + SETTINGS
    for change in changes:
        assert change[0] in text
        text = text.replace(*change)
    (folder / '_base_.py').write_text(text)
    for name in names:
        row = f"_base_ = './_base_.py'\nload_from = 'runs/{name}/last.pth'\n"
        (folder / f'{name}.py').write_text(row)
    return folder.parent


def write_record(folder, name, **how):
    configs, out = write_configs(folder / name, **how), folder / f'{name}.json'
    assert tool.main(['record', str(out), '--configs', str(configs)]) == 0
    return out


@pytest.fixture
def record(tmp_path):
    """Writes a folder of configs of its own, records it, returns the record's path."""
    return lambda name, **how: write_record(tmp_path, name, **how)


@pytest.fixture(scope='module')
def before(tmp_path_factory):
    """A record that is only read."""
    return write_record(tmp_path_factory.mktemp('records'), 'before')


def compared(capsys, *paths, status):
    capsys.readouterr()
    assert tool.main(['compare', *map(str, paths)]) == status
    return capsys.readouterr().out.splitlines()


def test_equal_configs_in_another_place_are_equal(record, before, capsys):
    lines = compared(capsys, before, record('after'), status=0)
    assert lines[:8] == ['2 configs before, 2 after', *EQUAL]
    assert lines[-1] == 'differences: 0'
    assert json.loads(before.read_text().splitlines()[1])['config'] == 'paper/one'


def test_a_changed_network_shows_in_integers_keys_and_logits(record, before, capsys):
    lines = compared(capsys, before, record('after', classes=4), status=1)
    # a class more is eight weights and a bias of the last convolution
    integers = [line.split()[2::2] for line in lines if line.startswith('paper/one: parameters')]
    assert [int(b) - int(a) for a, b in integers] == [9]
    for kind in ('trainable', 'keys', 'weights', 'logits', 'losses'):
        assert any(line.startswith(f'paper/two: {kind}: ') for line in lines)
    changed = 'paper/one: model.decode_head.num_classes: 3 -> 4'
    assert changed in lines and lines[-1] == 'differences: 14'


@pytest.mark.parametrize('old, new, line, differ', [
    ('batch_size=2', 'batch_size=4', 'train_dataloader.batch_size: 2 -> 4', []),
    ('crop_size = (32, 32)', 'crop_size = [32, 32]', 'crop_size: (32, 32) -> [32, 32]', []),
    ('bgr_to_rgb=True,', '', 'model.data_preprocessor.bgr_to_rgb: True -> (absent)',
     ['logits', 'losses']),
    ('avg_non_ignore=True', 'loss_weight=0.5',
     'model.decode_head.loss_decode.loss_weight: (absent) -> 0.5', ['losses']),
    ('depth=18', "init_cfg=dict(type='Pretrained', checkpoint='nowhere.pth'), depth=18",
     "model.backbone.init_cfg.type: (absent) -> 'Pretrained'", []),
])  # fmt: skip
def test_a_changed_setting_shows_alone(record, before, capsys, old, new, line, differ):
    lines = compared(capsys, before, record('after', changes=[(old, new)]), status=1)
    assert f'paper/one: {line}' in lines
    assert [text for text in EQUAL if text not in lines] == [
        f'{kind}: 2 of 2 equal' for kind in [*differ, 'settings']
    ]


def test_a_list_is_told_by_its_content(record, before, capsys, tmp_path):
    after = record('after', changes=[('a.txt', 'b.txt')])
    key = 'train_dataloader.dataset.ann_file'
    first = hashlib.sha256(b'first\n').hexdigest()[:16]
    line = f'paper/one: {key}: file {first} -> folder b.txt'
    assert line in compared(capsys, before, after, status=1)
    folder = write_configs(tmp_path / 'moved', changes=[('a.txt', 'b.txt')])
    (folder / 'paper/a.txt').rename(folder / 'paper/b.txt')
    moved = tmp_path / 'moved.json'
    assert tool.main(['record', str(moved), '--configs', str(folder)]) == 0
    compared(capsys, before, moved, status=0)


def test_variables_that_nothing_reads_are_counted_and_no_difference(record, before, capsys):
    after = record('after', changes=[('crop_size =', 'pixels = 5\ncrop_size =')])
    count = 'differences in variables of configs, which no program reads: 2'
    assert count in compared(capsys, before, after, status=0)
    line = 'paper/two: pixels: (absent) -> 5'
    assert line in compared(capsys, before, after, '--variables', status=0)


def test_renames_are_told_apart_from_changes(record, before, capsys, tmp_path):
    renamed = [("type='BN'", "type='BN2d'"), ('batch_size', 'batch_length')]  # BN has both names
    after = record('after', names=('one', 'three'), changes=renamed)
    lines = compared(capsys, before, after, status=1)
    assert {'paper/two: vanished', 'paper/three: appeared'} <= {*lines}
    assert "paper/one: model.backbone.norm_cfg.type: 'BN' -> 'BN2d'" in lines
    names = tmp_path / 'renames.yml'
    names.write_text('paper/two: paper/three\nBN: BN2d\nbatch_size: batch_length\n')
    lines = compared(capsys, before, after, '--renamed', names, status=0)
    assert [line for line in EQUAL if line not in lines] == []


@pytest.mark.parametrize('text, words', [
    ('paper/tow: paper/two', 'paper/tow, and no such config'),
    ('paper/two: paper/one', 'one name'),
    ('types: {a: b}', 'must hold lines'),
    ('a: [b', 'cannot be read'),
])  # fmt: skip
def test_renames_that_cannot_be_meant_are_one_line(before, capsys, tmp_path, text, words):
    names = tmp_path / 'renames.yml'
    names.write_text(text)
    assert tool.main(['compare', str(before), str(before), '--renamed', str(names)]) == 2
    assert words in capsys.readouterr().err


def test_a_killed_record_goes_on_and_becomes_the_same(record, capsys):
    before = record('before')
    capsys.readouterr()
    whole = before.read_bytes()
    configs = before.with_suffix('') / 'configs'
    before.write_bytes(whole[:-100])
    assert tool.main(['compare', str(before), str(before)]) == 2
    assert '1 of 2 configs' in capsys.readouterr().err
    assert tool.main(['record', str(before), '--configs', str(configs)]) == 0
    out = capsys.readouterr().out
    assert 'paper/two' in out and 'paper/one' not in out
    assert before.read_bytes() == whole
    (configs / 'paper/one.py').write_text('changed = True\n')
    assert tool.main(['record', str(before), '--configs', str(configs)]) == 2
    assert 'recorded with another code' in capsys.readouterr().err
    assert before.read_bytes() == whole


def test_what_cannot_be_built_or_read_is_recorded_and_counted(record, before, capsys):
    after = record('after', changes=[('FCNHead', 'NoSuchHead')])
    lines = compared(capsys, after, after, status=0)
    assert 'not built, before and after: 2' in lines and 'settings: 2 of 2 equal' in lines
    lines = compared(capsys, before, after, status=1)
    assert any(line.startswith('paper/one: not built: no -> KeyError: ') for line in lines)
    broken = record('broken', changes=[('crop_size =', 'crop_size = 1 / 0\ncrop_size =')])
    lines = compared(capsys, before, broken, status=1)
    assert 'settings: 0 of 2 equal' in lines
    assert any('ZeroDivisionError' in line for line in lines)


def test_no_configs_and_no_record_are_one_line(tmp_path, capsys):
    out = tmp_path / 'out.json'
    assert tool.main(['record', str(out), '--configs', str(tmp_path)]) == 2
    assert 'holds no config' in capsys.readouterr().err and not out.exists()
    assert tool.main(['compare', str(out), str(out)]) == 2
    assert 'out.json is no record' in capsys.readouterr().err


class Saturated:
    """A segmentor whose results are one of two whatever the size of its logits."""

    data_preprocessor, num_classes, ignore_index = None, 2, 255

    def __init__(self, factor):
        self.factor = factor

    def eval(self):
        return self

    def inference(self, images):
        return self.factor * images[0].float()

    def test_step(self, data):
        logits = self.inference(data['inputs'])
        return [SegDataSample(seg_logits=PixelData(data=(logits > 0).float()))]


def test_logits_count_before_what_hides_them():
    at_some_size = config_facts._at_some_size
    texts = [at_some_size(config_facts.logits_of, Saturated(factor)) for factor in (1, 1, 2)]
    assert texts[0] == texts[1] and texts[2][:16] != texts[0][:16]
    assert texts[0].split(', ')[1] == '3x96x128'


def test_what_starts_at_zero_is_moved_and_variances_stay_positive():
    norm = nn.BatchNorm2d(50)
    nn.init.zeros_(norm.weight)
    config_facts._perturb(norm)
    assert norm.weight.std() > 0.05 and norm.running_mean.std() > 0.05
    assert norm.running_var.min() > 0 and norm.num_batches_tracked == 0
