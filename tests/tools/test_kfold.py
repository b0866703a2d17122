"""tools/kfold.py from start to end: two folds of twelve images of four patients."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmseg_ext.apis.cards.card import END, START, generate
from mmseg_ext.apis.cards.fold_record import collect_all
from mmseg_ext.apis.cards.record import command
from mmseg_ext.apis.run.load import load_model
from mmseg_ext.evaluation.confusion import metrics_from_confusion
from mmseg_ext.evaluation.intervals import brackets

CONFIG = """
_base_ = [{tiny!r}]
load = [dict(type='LoadImageFromFile'), dict(type='LoadLabels')]
dataset = dict(
    _delete_=True, type='FolderDataset', data_root={data!r}, group_file='patients.csv',
    data_prefix=dict(img_path='img', seg_map_path='mask'), label_map={{255: 1}},
    metainfo=dict(classes=('background', 'bone'), palette=[[0, 0, 0], [255, 0, 0]]),
    pipeline=[*load, dict(type='PackSegInputs')])
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
model = dict(decode_head=dict(num_classes=2))
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=1))
"""


def write_data(root):
    """Images p0/0 to p3/2, bright where there is bone; one of them has none."""
    random = np.random.default_rng(0)
    for patient in range(4):
        for image in range(3):
            mask = np.zeros((32, 32), np.uint8)
            if (patient, image) != (1, 2):
                mask[4 + 3 * patient : 20, 5 : 12 + 4 * image] = 255
            noise = random.integers(0, 60, (32, 32, 3))
            for folder, values in (('img', noise + mask[..., None] // 2), ('mask', mask)):
                path = root / folder / f'p{patient}' / f'{image}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), values.astype(np.uint8))
    names = [f'p{patient}/{image}' for patient in range(4) for image in range(3)]
    lines = [f'{name},{name[:2]}\n' for name in names]
    (root / 'patients.csv').write_text(''.join(lines))
    return names


@pytest.fixture(scope='module')
def finished(tmp_path_factory, tiny_config, python_tool):
    """Fold 0 alone first, then all of them, as after a stop; with the average of both."""
    root = tmp_path_factory.mktemp('kfold')
    names = write_data(root / 'data')
    config = root / 'folds.py'
    config.write_text(CONFIG.format(tiny=str(tiny_config), data=str(root / 'data')))
    command = ['tools/kfold.py', config, '--num-folds', 2, '--work-dir', root / 'work',
               '--seed', 0]  # fmt: skip
    first = python_tool(*command, '--folds', 0)
    written = [root / 'work/fold0' / name for name in ('iter_2.pth', 'results.json')]
    stamps = [path.stat().st_mtime_ns for path in written]
    second = python_tool(*command, '--average', root / 'data/img/p0', '--prob', '--device', 'cpu')
    assert [path.stat().st_mtime_ns for path in written] == stamps
    return dict(root=root, work=root / 'work', config=config, command=command, names=names,
                first=first.stdout, second=second.stdout)  # fmt: skip


def test_a_finished_fold_is_not_run_again(finished):
    assert 'INCOMPLETE: folds [1]' in finished['first']
    note = 'pool train: 12 images (train 12); no labelled images of the config left out\n'
    assert f'{note}12 images of 4 groups, held out by fold: [6, 6]' in finished['first']
    assert note in (finished['work'] / 'fold0/train.log').read_text()
    assert 'fold 0: finished already' in finished['second']
    assert 'fold 1: train: ' in finished['second'] and 'INCOMPLETE' not in finished['second']


def test_the_lists_are_complete_and_by_patient(finished):
    held_out = []
    for fold in (0, 1):
        folder = finished['work'] / f'fold{fold}'
        train, val = (
            (folder / f'split_{part}.txt').read_text().split() for part in ('train', 'val')
        )
        assert sorted(train + val) == finished['names']
        assert not {name[:2] for name in train} & {name[:2] for name in val}
        held_out += val
        used = Config.fromfile(folder / 'folds.py')
        for part, name in (('train', 'train'), ('val', 'val'), ('test', 'val')):
            ann_file = used[f'{part}_dataloader'].dataset.ann_file
            assert ann_file == str(folder / f'split_{name}.txt')
        results = json.loads((folder / 'results.json').read_text())
        assert (results['fold'], results['num_folds'], results['split_seed']) == (fold, 2, 0)
        assert results['seed'] == 0 and results['checkpoint'] == 'iter_2.pth'
        assert results['num_images'] == 6
    assert sorted(held_out) == finished['names']


def test_the_summary_adds_up(finished):
    result = json.loads((finished['work'] / 'kfold.json').read_text())
    folds = [
        json.loads((finished['work'] / f'fold{fold}/results.json').read_text()) for fold in (0, 1)
    ]
    assert (result['folds'], result['missing'], result['unit']) == ([0, 1], [], 'group')
    assert (result['splitter'], result['seed']) == ('GroupKFold', 0)
    pooled = np.array(folds[0]['confusion']) + np.array(folds[1]['confusion'])
    assert result['pooled']['confusion'] == pooled.tolist() and pooled.sum() == 12 * 32 * 32
    expected = metrics_from_confusion(pooled)['mIoU']
    assert result['pooled']['metrics']['mIoU']['value'] == pytest.approx(expected, rel=1e-9)
    values = [fold['metrics']['mIoU']['value'] for fold in folds]
    entry = result['per_fold']['mIoU']
    assert entry['values'] == values and entry['mean'] == pytest.approx(sum(values) / 2, rel=1e-9)
    assert entry['sd'] == pytest.approx(abs(values[0] - values[1]) / 2**0.5, rel=1e-9)
    assert sorted(row['name'] for row in result['units']) == ['p0', 'p1', 'p2', 'p3']
    assert all(row['images'] == 3 for row in result['units'])


def test_the_average_of_both_is_written(finished):
    written = json.loads((finished['work'] / 'average/predictions.json').read_text())
    assert len(written['images']) == 3 and len(written['checkpoints']) == 2
    weights = [finished['work'] / f'fold{fold}/iter_2.pth' for fold in (0, 1)]
    singles = [load_model(finished['config'], path, device='cpu') for path in weights]
    for entry in written['images']:
        image = torch.from_numpy(cv2.imread(entry['image'])).permute(2, 0, 1)
        pixels = ((image.flip(0).float() - 127.5) / 127.5)[None]
        with torch.inference_mode():
            logits = [model.encode_decode(pixels, [dict(img_shape=(32, 32))]) for model in singles]
        mean = (logits[0].softmax(1) + logits[1].softmax(1))[0] / 2
        found = np.load(finished['work'] / 'average' / entry['prob'])['prob']
        np.testing.assert_allclose(found, mean.numpy(), atol=5e-4)  # stored in half precision


def test_it_is_collected_for_the_card(finished, tmp_path):
    folder = tmp_path / 'configs/paper'
    folder.mkdir(parents=True)
    shutil.copy(finished['config'], folder / 'folds.py')
    (folder / 'README.md').write_text(f'{START}\n{END}\n')
    [record] = collect_all(finished['work'], folder)
    card = re.sub(' +', ' ', generate(folder)[1])  # columns are padded
    result = json.loads((finished['work'] / 'kfold.json').read_text())
    entry, pooled = result['per_fold']['mIoU'], result['pooled']['metrics']['mIoU']
    assert f'| {100 * entry["mean"]:.1f} ± {100 * entry["sd"]:.1f} |' in card
    ends = brackets((pooled['low'], pooled['high']), digits=1)
    assert f'| {100 * pooled["value"]:.1f}{ends} |' in card
    assert '| FolderDataset, train (12) | random | 2 | 2 (GroupKFold, split seed 0) | 0 |' in card
    words = 'python tools/kfold.py configs/paper/folds.py --num-folds 2 --pool train --seed 0'
    assert command(record, 'paper') == words


def test_surfaces_are_in_the_table(finished):
    result = json.loads((finished['work'] / 'kfold.json').read_text())
    assert (result['spacing'], result['tolerance']) == ([1, 1], 1)
    values = [row['HD95'] for row in result['units'] if row['HD95'] is not None]
    assert result['per_unit']['HD95']['mean'] == pytest.approx(np.mean(values), rel=1e-9)
    assert 'HD95' in finished['second'] and 'sd (ddof=1)' in finished['second']


@pytest.mark.slow
def test_a_stopped_fold_goes_on_where_it_was(finished, tmp_path, python_tool):
    shutil.copytree(finished['work'], tmp_path / 'work')
    fold = tmp_path / 'work/fold1'
    whole = torch.load(fold / 'iter_2.pth', weights_only=True)['state_dict']
    (fold / 'iter_2.pth').write_bytes((fold / 'iter_2.pth').read_bytes()[:1000])  # cut short
    (fold / 'results.json').unlink()
    for path in fold.glob('best_*.pth'):
        path.unlink()
    command = list(finished['command'])
    command[command.index('--work-dir') + 1] = tmp_path / 'work'
    done = python_tool(*command)
    assert 'fold 0: finished already' in done.stdout
    assert 'fold 1: train from iter_1.pth: ' in done.stdout
    again = torch.load(fold / 'iter_2.pth', weights_only=True)['state_dict']
    assert all(torch.equal(again[key], whole[key]) for key in whole)
    before = json.loads((finished['work'] / 'kfold.json').read_text())
    assert json.loads((tmp_path / 'work/kfold.json').read_text())['pooled'] == before['pooled']
