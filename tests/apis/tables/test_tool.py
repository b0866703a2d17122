"""tools/table.py with real trainings of a tiny network, and the facts of built models."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mmengine.config import Config
from support.paths import ROOT

from mmseg_ext.apis.tables.models import model_facts, table_models
from mmseg_ext.apis.tables.rows import Row, Table, read_tables

TABLES = """
protocol: {dataset: BaseSegDataset, images: 6, seeds: [0]}
tables:
  1:
    caption: a tiny network
    metrics: [mIoU, mPA]
    rows:
      - {label: Tiny, config: tiny_a, printed: {mIoU: 99.9}, tolerance: 100}
      - {label: Broken, config: tiny_a, options: {model.backbone.depth: 7}}
      - {label: Wide, config: tiny_a, options: {model.decode_head.channels: 9}}
  2:
    caption: two folds
    protocol: {dataset: null, images: null, folds: 2, checkpoint: last}
    rows:
      - {label: Folds, config: tiny_f}
"""
FOLDS = """
dataset = dict(
    _delete_=True, type='FolderDataset', data_root={data!r},
    data_prefix=dict(img_path='img', seg_map_path='mask'), pipeline=[
        dict(type='LoadImageFromFile'), dict(type='LoadLabels'), dict(type='PackSegInputs')],
    metainfo=dict(classes=('sky', 'tree', 'road'), palette=[[0, 0, 1], [0, 1, 0], [1, 1, 1]]))
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
"""


@pytest.fixture
def paper(tmp_path, tiny_config, tiny_data) -> Path:
    """A folder of configs with one paper of two tiny configs."""
    folder = tmp_path / 'configs' / 'toy'
    folder.mkdir(parents=True)
    (folder / 'tables.yml').write_text(TABLES)
    (folder / 'tiny_a.py').write_text(tiny_config.read_text())
    folds = f'_base_ = [{str(tiny_config)!r}]\n' + FOLDS.format(data=str(tiny_data))
    (folder / 'tiny_f.py').write_text(folds)
    return folder.parent


def test_the_facts_of_a_model(paper) -> None:
    """Parameters and FLOPs of three convolutions, by hand; auxiliary heads are left out."""
    head = dict(in_index=0, num_classes=3, dropout_ratio=0, norm_cfg=None, num_convs=0,
                concat_input=False, type='FCNHead', in_channels=8, channels=8)  # fmt: skip
    backbone = dict(type='ResNet', depth=18, num_stages=1, out_indices=(0,), strides=(1,),
                    dilations=(1,), stem_channels=8, base_channels=8)  # fmt: skip
    model = dict(
        type='EncoderDecoder',
        backbone=backbone,
        decode_head=head,
        auxiliary_head=head,
        data_preprocessor=dict(type='SegDataPreProcessor'),
        test_cfg=dict(mode='whole'),
    )
    facts = model_facts(Config(dict(model=model, crop_size=(32, 64))))
    stem, conv, norm = 3 * 8 * 49, 8 * 8 * 9, 2 * 8
    assert facts['parameters'] == stem + norm + 4 * (conv + norm) + 8 * 3 + 3
    # stem at 16 x 32, four convolutions and the classifier at 8 x 16; a multiply-add is two
    assert facts['GFLOPs'] * 1e9 == 2 * (stem * 512 + 4 * conv * 128 + 24 * 128)
    assert facts['size'] == [32, 64] and 'latency_ms' not in facts
    assert model_facts(Config(dict(model=model, crop_size=(32, 64))), latency=1)['latency_ms'] > 0


def test_models_of_a_table(paper) -> None:
    table = read_tables('toy', paper)['1']
    absent = Row('Absent', 'absent')
    models = table_models(Table('toy', '1', '', (*table.rows, absent)))
    assert set(models) == {'Tiny', 'Broken', 'Wide'}
    assert models['Wide']['parameters'] > models['Tiny']['parameters']
    assert models['Tiny']['selects_on_test'] is True
    once = table_models(table, options=['train_cfg.val_interval=6'])  # nothing to choose from
    assert once['Tiny']['selects_on_test'] is False
    assert models['Broken']['remark'].startswith('not built: ')
    narrow = table_models(table, options=['model.decode_head.channels=2'])  # the user's win
    assert narrow['Wide'] == narrow['Tiny'] != models['Tiny']


def kill_when(path: Path, command: list) -> None:
    """Start a command and kill it and its children as soon as a file is there."""
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        for _ in range(9000):
            if path.is_file() and path.read_text():
                break
            assert process.poll() is None, f'{command} ended before {path} was there'
            time.sleep(0.1)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_table_from_start_to_end(paper, tmp_path, python_tool) -> None:
    work = tmp_path / 'work'
    command = ['tools/table.py', 'toy', '1', '--configs', paper, '--work-dirs', work]
    kill_when(work / 'tiny_a_seed0' / 'last_checkpoint', [sys.executable, *map(str, command)])
    assert (work / 'tiny_a_seed0' / 'last_checkpoint').read_text().endswith('/iter_3.pth')
    done = python_tool(*command, check=False, timeout=1800)
    assert done.returncode == 1  # Broken
    assert 'Tiny, seed 0: train from iter_3.pth: ' in done.stdout
    assert "error: row 'Broken', seed 0: failed in " in done.stderr
    results = json.loads((work / 'tiny_a_seed0' / 'results.json').read_text())
    assert results['seed'] == 0 and results['iterations'] is not None
    ours = f'{100 * results["metrics"]["mIoU"]["value"]:.2f}'
    report = python_tool(*command, '--report')
    [tiny] = [line for line in report.stdout.splitlines() if '| Tiny ' in line]
    assert [cell.strip() for cell in tiny.strip('|').split('|')][2:5] == ['99.90', ours, '1']
    assert 'within' in tiny and report.stdout.count('not run') >= 2
    assert (work / 'tiny_a_wide_seed0' / 'results.json').is_file()
    other = python_tool(*command, '--cfg-options', 'max_iters=12', check=False)
    assert other.returncode == 1 and 'tiny_a_seed0 holds another run' in other.stderr


@pytest.mark.slow
def test_a_table_of_folds_through_torchrun(paper, tmp_path, python_tool) -> None:
    command = ['tools/table.py', 'toy', '2', '--configs', paper, '--work-dirs', tmp_path / 'work',
               '--cfg-options', 'max_iters=2', '--gpus', '1']  # fmt: skip
    done = python_tool(*command, timeout=1800)
    folder = tmp_path / 'work' / 'tiny_f_kfold2_seed0'
    values = json.loads((folder / 'kfold.json').read_text())['per_fold']['mIoU']
    [line] = [line for line in done.stdout.splitlines() if '| Folds ' in line]
    cells = [cell.strip() for cell in line.strip('|').split('|')]
    assert cells[3:5] == [f'{100 * values["mean"]:.2f} ± {100 * values["sd"]:.2f}', '2']
    assert 'torchrun.py --standalone' in done.stdout
    assert 'finished already' in python_tool(*command).stdout
