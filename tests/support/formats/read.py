"""What init makes of a folder: its file, and the labels as training loads them."""

from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_ext.apis.userdata.init import init_data_file
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.datasets.folder import FolderDataset
from mmseg_ext.datasets.loading import LoadLabels


def write_noise(path, size, seed=0):
    """An image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(noise).save(path)


def read(root, **options):
    """The data set file, split -> stem of the name -> labels, and the notes."""
    out = root.parent / 'my_data.yml'
    notes = init_data_file(root, out, **options)
    data, parts = read_data_file(out), {}
    for part in data.parts:
        config = data.dataset_config(part)
        settings = {k: v for k, v in config.items() if k not in ('type', 'pipeline')}
        samples = FolderDataset(**settings).load_data_list()
        parts[part] = {
            Path(s['img_path']).stem: LoadLabels()(dict(s))['gt_seg_map'] for s in samples
        }
    return data, parts, notes


def read_labels(root, **options):
    """Stem of the name -> labels, of all splits."""
    data, parts, notes = read(root, **options)
    return data, {stem: mask for part in parts.values() for stem, mask in part.items()}, notes
