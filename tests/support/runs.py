"""Work folders as a run leaves them, without running anything: their files by the metrics."""

import json
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from mmseg.registry import METRICS

from mmseg_ext.apis.run.folder import RunFolder

CLASSES = ('sky', 'tree & <bush>', 'road')
PALETTE = [[0, 0, 255], [0, 255, 0], [99, 99, 99]]


@dataclass(frozen=True)
class Row:
    label: str
    config: str
    runs: tuple


def _predict(truth, *, wrong, seed):
    """The truth with some pixels drawn anew, and logits that are sure of it."""
    random = np.random.default_rng(seed)
    drawn = random.integers(0, 3, truth.shape)
    label = np.where((random.random(truth.shape) < wrong) | (truth == 255), drawn, truth)
    logits = torch.nn.functional.one_hot(torch.from_numpy(label).long(), 3).permute(2, 0, 1)
    return label, 2.0 * logits


def _scalars(folder, loss):
    (folder / 'vis_data').mkdir(parents=True)
    records = [dict(iter=s, step=s, loss=loss / s, lr=0.01) for s in (10, 20, 30)]
    records += [dict(step=s, mIoU=40.0 + s) for s in (15, 30)]
    lines = '\n'.join(json.dumps(record) for record in records)
    (folder / 'vis_data' / 'scalars.json').write_text(lines)


def write_run(
    folder,
    data,
    config,
    *,
    wrong,
    seed=0,
    images=range(6),
    grouped=False,
    classes=CLASSES,
    name='TinyDataset',
    stem='',
):
    """Write a work folder as training, testing, predicting and timing leave it.

    The files of ``data`` are called ``stem`` and a number; of their pixels the share ``wrong`` is
    drawn anew.
    """
    folder.mkdir(parents=True)
    summary = dict(summary_file=str(folder / 'results.json'))
    counts, calibration = (
        METRICS.build(dict(type=kind, per_image_file=str(folder / name), **more))
        for kind, name, more in (
            ('SegMetric', 'per_image.npz', summary),
            ('CalibrationMetric', 'per_image_calibration.npz', dict(num_bins=5)),
        )
    )
    entries = []
    for index in images:
        truth = cv2.imread(str(data / 'mask' / f'{stem}{index}.png'), cv2.IMREAD_UNCHANGED)
        label, logits = _predict(truth, wrong=wrong, seed=100 * seed + index)
        image = str((data / 'img' / f'{stem}{index}.png').absolute())
        sample = dict(img_path=image, seg_logits=dict(data=logits))
        sample['gt_sem_seg'] = dict(data=torch.from_numpy(truth)[None].long())
        sample['pred_sem_seg'] = dict(data=torch.from_numpy(label)[None])
        if grouped:
            sample['group'] = f'patient{index // 2}'
        for metric in (counts, calibration):
            metric.dataset_meta = dict(classes=classes, group_unit='patient')
            metric.process(None, [sample])
        (folder / 'predictions' / 'masks').mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / 'predictions' / 'masks' / f'{index}.png'), label.astype(np.uint8))
        entries.append(dict(image=image, mask=f'masks/{index}.png'))
    for metric in (counts, calibration):
        metric.evaluate(len(images))
    path = folder / 'results.json'
    facts = dict(config=folder.name, seed=seed, iterations=30, commit='0123456789abcdef')
    facts['dataset'] = dict(name=name, split='val', num_images=len(images))
    content = dict(json.loads(path.read_text()), **facts, calibration=calibration.calibration)
    path.write_text(json.dumps(content))
    listing = dict(classes=classes, palette=PALETTE, images=entries)
    (folder / 'predictions' / 'predictions.json').write_text(json.dumps(listing))
    (folder / 'tiny.py').write_text(config.read_text())
    _scalars(folder / '20260901_1', 3 + seed)
    cost = dict(parameters=round(1e6 * (1 + wrong)), flops=2000000, size=[32, 48])
    cost.update(latency_ms=12.5 + seed, latency_lowest_ms=12, latency_highest_ms=19)
    RunFolder(folder).cost_file.write_text(json.dumps(cost))
    return folder
