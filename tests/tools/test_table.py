"""One table from nothing, by the real tools: train, test, table, page; counted again by hand."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image
from support.paths import ROOT
from support.tiny import write_tiny_config
from support.tools import load_tool
from support.user_folder import TEXT, write_folder

CLASSES = ('sky', 'tree', 'road')
TABLES = """
protocol: {{dataset: BaseSegDataset, images: 6, seeds: [3], checkpoint: last}}
tables:
  1:
    caption: Toys of two steps
    rows: [{{label: Tiny <net>, config: toy_net, printed: {{mIoU: 50}}, tolerance: {tolerance}}}]
"""


@pytest.fixture(scope='module')
def done(tmp_path_factory, tiny_data, python_tool):
    """What the tool leaves of one row of two iterations, and how it ended."""
    root = tmp_path_factory.mktemp('table')
    paper = root / 'configs' / 'toy'
    paper.mkdir(parents=True)
    write_tiny_config(paper / 'toy_net.py', tiny_data, extra="init_note = 'random'\n")
    (paper / 'tables.yml').write_text(TABLES.format(tolerance=100))
    places = ['--configs', root / 'configs', '--work-dirs', root / 'work']
    words = ['--cfg-options', 'max_iters=2', '--html', root / 'page.html', '--out', root / 't.md']
    ended = python_tool('tools/table.py', 'toy', 1, *places, *words)
    run = root / 'work' / 'toy_net_seed3'
    results = json.loads((run / 'results.json').read_text())
    return SimpleNamespace(ended=ended, root=root, run=run, results=results, places=places)


@pytest.fixture(scope='module')
def counted(done, tiny_data):
    """Pixels by true and by predicted class: the network by hand, image by image."""
    cfg = Config.fromfile(done.root / 'configs/toy/toy_net.py')
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(done.run / 'iter_2.pth')['state_dict'])
    counts = np.zeros((3, 3), int)
    for path in sorted((tiny_data / 'img').iterdir()):
        image = torch.from_numpy(cv2.imread(str(path))[..., ::-1].copy()).permute(2, 0, 1)[None]
        with torch.no_grad():
            logits = model.decode_head(model.backbone((image - 127.5) / 127.5))
        logits = torch.nn.functional.interpolate(logits, (40, 40), mode='bilinear')
        label = logits.argmax(1)[0].numpy()
        shown = np.asarray(Image.open(done.run / 'predictions/masks' / path.name))  # numbers
        assert (label == shown).all()
        mask = cv2.imread(str(tiny_data / 'mask' / path.name), 0)
        for true, found in zip(mask[mask != 255], label[mask != 255]):
            counts[true, found] += 1
    return counts


def test_it_trains_and_tests_the_two_iterations(done):
    assert done.ended.returncode == 0 and 'Traceback' not in done.ended.stderr
    assert torch.load(done.run / 'iter_2.pth')['meta']['iter'] == 2
    told = {key: done.results[key] for key in ('config', 'seed', 'iterations', 'checkpoint')}
    assert told == dict(config='toy_net', seed=3, iterations=2, checkpoint='iter_2.pth')
    order = [line.split(':')[1].strip() for line in done.ended.stdout.splitlines()
             if line.startswith('Tiny <net>, seed 3:')]  # fmt: skip
    assert order == ['train', 'test']


def test_the_counts_are_those_counted_by_hand(done, counted):
    assert counted.sum() == 6 * 39 * 40  # the first line of each mask is ignored
    assert done.results['confusion'] == counted.tolist()
    right = np.diag(counted)
    ious = right / (counted.sum(0) + counted.sum(1) - right)
    assert done.results['per_class']['IoU'] == pytest.approx(dict(zip(CLASSES, ious)))
    assert done.results['metrics']['mIoU']['value'] == pytest.approx(ious.mean())
    assert done.results['metrics']['aAcc']['value'] == pytest.approx(right.sum() / counted.sum())


def test_table_and_page_hold_the_row(done, counted):
    right = np.diag(counted)
    ours = 100 * (right / (counted.sum(0) + counted.sum(1) - right)).mean()
    row = ['Tiny <net>', 'mIoU', '50.00', f'{ours:.2f}', '1', f'{ours - 50:.2f}', 'within']
    written = (done.root / 't.md').read_text()
    lines = [line.strip('|').split('|') for line in written.splitlines() if 'net>' in line]
    assert [[cell.strip() for cell in line] for line in lines] == [['Tiny &lt;net>', *row[1:]]]
    assert [cell.strip() for line in done.ended.stdout.splitlines() if line.startswith('| Tiny')
            for cell in line.strip('|').split('|')] == row  # fmt: skip
    page = (done.root / 'page.html').read_text()
    assert 'Tiny &lt;net&gt;' in page and '<net>' not in page and f'{ours:.2f}' in page
    assert 'Toys of two steps' in page and page.rstrip().endswith('</html>')


def test_again_it_runs_nothing_and_a_row_outside_fails(done, monkeypatch, capsys):
    """In this process, and with another tolerance: the folder is finished and stays as it is."""
    (done.root / 'configs/toy/tables.yml').write_text(TABLES.format(tolerance=1))
    before = {path: path.read_bytes() for path in done.run.rglob('*') if path.is_file()}
    arguments = ['toy', 1, *done.places, '--cfg-options', 'max_iters=2']
    monkeypatch.setattr(sys, 'argv', ['table.py', *map(str, arguments)])
    assert load_tool('table').main() == 1
    told = capsys.readouterr().out
    assert 'Tiny <net>, seed 3: finished already' in told and 'outside' in told
    after = {path: path.read_bytes() for path in done.run.rglob('*') if path.is_file()}
    assert len(before) > 10 and after == before


# --- slow: killed and gone on with, and folds ---

LONG = """
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
    (folder / 'tables.yml').write_text(LONG)
    (folder / 'tiny_a.py').write_text(tiny_config.read_text())
    folds = f'_base_ = [{str(tiny_config)!r}]\n' + FOLDS.format(data=str(tiny_data))
    (folder / 'tiny_f.py').write_text(folds)
    return folder.parent


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


@pytest.mark.slow
def test_few_labels_on_a_users_data(tmp_path, python_tool, monkeypatch) -> None:
    """Two of the survey's own rows on pictures of a test, each of two iterations."""
    folder = write_folder(tmp_path / 'user', size=(60, 80))
    (folder / 'images/more').mkdir()
    for index in range(4):
        shutil.copy(folder / f'images/train/{index}.png', folder / f'images/more/m{index}.png')
    data = folder / 'mine.yml'
    data.write_text(TEXT + 'unlabelled: {images: images/more}\n')
    init_default_scope('mmseg')
    cfg = Config.fromfile(ROOT / 'configs/_base_/models/mobilenetv2_os16.py')
    cfg.model.backbone.pop('init_cfg')
    state = MODELS.build(cfg.model.backbone).state_dict()
    names = {f'backbone.{key}': value for key, value in state.items()}
    torch.save(dict(state_dict=names), tmp_path / 'mobilenet_v2_imagenet.pth')
    monkeypatch.setenv('MMSEG_EXT_WEIGHTS', str(tmp_path))
    command = ['tools/table.py', 'survey', 'few-labels-camvid180', '--dataset', data,
               '--rows', 'supervised,UniMatch', '--work-dirs', tmp_path / 'work', '--seeds', '0',
               '--cfg-options', 'max_iters=2', 'train_dataloader.num_workers=0']  # fmt: skip
    done = python_tool(*command, timeout=1800)
    results = sorted((tmp_path / 'work').glob('*-mine_seed0/results.json'))
    assert len(results) == 2
    for path in results:
        found = json.loads(path.read_text())
        assert found['dataset']['name'] == 'mine' and found['iterations'] == 2
        ours = f'{100 * found["metrics"]["mIoU"]["value"]:.2f}'
        assert re.search(rf'\| mIoU +\| +\| +{ours} ', done.stdout), (path, done.stdout)
    supervised, unimatch = [(path.parent / 'train.log').read_text() for path in results]
    told = '4 unlabelled images are also in train'
    assert told in unimatch and told not in supervised
