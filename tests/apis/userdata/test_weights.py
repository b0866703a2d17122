"""tools/class_weights.py: counts of a folder of masks against numpy, and what it refuses."""

import json

import cv2
import numpy as np
import pytest

from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.userdata.weights import as_table, count_split, weigh


def _by_numpy(folder):
    pixels, images, ignored = np.zeros(3), np.zeros(3), 0
    for path in sorted((folder / 'mask').glob('*.png')):
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        ignored += int((mask == 255).sum())
        for k in range(3):
            pixels[k] += (mask == k).sum()
            images[k] += mask.size * (mask == k).any()
    return pixels, images, ignored


def test_prints_the_weights_of_the_masks(tiny_config, tiny_data, python_tool, tmp_path):
    out = tmp_path / 'counts.json'
    done = python_tool('tools/class_weights.py', tiny_config, '--out', out)
    pixels, images, ignored = _by_numpy(tiny_data)
    assert ignored == 6 * 40 and (pixels > 0).all()
    share = pixels / images
    expected = np.median(share) / share
    written = json.loads(out.read_text())
    assert written['pixels'] == pixels.tolist() and written['image_pixels'] == images.tolist()
    assert written['ignored'] == ignored and written['images'] == 6
    np.testing.assert_allclose(written['weights'], expected, rtol=1e-12)
    printed = [line for line in done.stdout.splitlines() if line.startswith('class_weight=')]
    assert printed == [f'class_weight={[round(w, 4) for w in expected.tolist()]}']
    assert 'sky' in done.stdout and f'counts={written["pixels"]}' in done.stdout


def test_methods_and_normalisation():
    counts = dict(classes=['a', 'b'], pixels=[30, 10], image_pixels=[40, 20])
    assert weigh(counts) == pytest.approx([0.625 / 0.75, 0.625 / 0.5])
    assert weigh(counts, method='complement') == pytest.approx([0.25, 0.75])
    scaled = weigh(counts, method='complement', normalize=True)
    assert scaled == pytest.approx([0.25 / 0.375, 0.75 / 0.375])
    effective = weigh(counts, method='effective', effective_beta=0.9)
    assert effective == pytest.approx([0.1 / (1 - 0.9**30), 0.1 / (1 - 0.9**10)])
    rows = as_table(counts, scaled).splitlines()
    assert rows[1].split() == ['a', '30', '75.00', '0.6667']


def test_other_splits_and_pipelines(tiny_config):
    cfg = load_config(tiny_config)
    assert count_split(cfg, split='val')['images'] == 6
    cfg.train_dataloader.dataset.pipeline = [dict(type='LoadImageFromFile')]
    with pytest.raises(ValueError, match='train_dataloader.dataset.pipeline must load labels once'):
        count_split(cfg)
