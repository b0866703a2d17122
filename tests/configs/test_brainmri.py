"""The survey's example on made-up slices, and its pair of rows about transfer learning."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from support.paths import ROOT

from mmseg_ext.apis.run import training
from mmseg_ext.apis.run.config import load_config

SURVEY = ROOT / 'configs' / 'survey'
SIZE = 40
# value in the mask -> half width of the square that is left of it, one inside the other
RINGS = {2: 12, 1: 7, 4: 3}


def _slice(shift: int) -> tuple:
    """A grey head with a square tumour, and its mask in BraTS's values."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    image = np.where(rows**2 + columns**2 < 18**2, 90, 0)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for value, half in RINGS.items():
        inside = (abs(rows - shift) < half) & (abs(columns) < half)
        mask[inside] = value
        image[inside] = 90 + 30 * value
    return image.astype(np.uint8), mask


@pytest.fixture(scope='module')
def slices(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('data') / 'brain_mri'
    for split, shifts in dict(train=(-2, 0, 2), val=(1,)).items():
        for kind in ('images', 'masks'):
            (root / kind / split).mkdir(parents=True)
        for shift in shifts:
            image, mask = _slice(shift)
            cv2.imwrite(str(root / f'images/{split}/patient{shift + 2}.png'), image)
            cv2.imwrite(str(root / f'masks/{split}/patient{shift + 2}.png'), mask)
    return root


def _tiny(slices: Path, work_dir: Path) -> Config:
    loaders = {
        f'{split}_dataloader.{key}': value
        for split in ('train', 'val', 'test')
        for key, value in {
            'dataset.data_root': str(slices),
            'num_workers': 0,
            'persistent_workers': False,
        }.items()
    }
    cfg = load_config(
        SURVEY / 'resegnet_noskip_brainmri.py',
        options={'max_iters': 2, 'model.backbone.widths': (4, 4, 8),
                 'model.decode_head.in_channels': 4, 'train_dataloader.batch_size': 2,
                 'model.data_preprocessor.size': (SIZE, SIZE), **loaders},
        work_dir=work_dir)  # fmt: skip
    crop = next(t for t in cfg.train_dataloader.dataset.pipeline if t.type == 'RandomCrop')
    crop.crop_size = (SIZE, SIZE)
    return cfg


def test_the_masks_become_four_classes(slices, tmp_path):
    init_default_scope('mmseg')
    cfg = _tiny(slices, tmp_path)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    labels = dataset[0]['data_samples'].gt_sem_seg.data
    # squares of 2h - 1 pixels: 23^2, 13^2 and 5^2, one inside the other
    expected = [SIZE**2 - 23**2, 13**2 - 5**2, 23**2 - 13**2, 5**2]
    assert torch.bincount(labels.flatten()).tolist() == expected
    assert dataset.metainfo['classes'][3] == 'enhancing tumour'


def test_two_iterations_on_made_up_slices(slices, tmp_path):
    training.train(_tiny(slices, tmp_path))
    content = torch.load(tmp_path / 'iter_2.pth', weights_only=True)
    assert content['meta']['iter'] == 2
    assert all(value.isfinite().all() for value in content['state_dict'].values())
    losses = content['message_hub']['log_scalars']
    assert {'train/decode.loss_ce', 'train/decode.loss_dice'} <= set(losses)


def test_the_example_is_unpooling_and_deconvolution():
    cfg = Config.fromfile(SURVEY / 'resegnet_noskip_brainmri.py')
    with torch.device('meta'):
        parts = [MODELS.build(cfg.model[k]) for k in ('backbone', 'decode_head')]
    # a 3x3 layer from a to b channels with bias and batch norm has 9ab + 3b parameters
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 256]  # the encoder, the bottleneck last
    widths += [256, 256, 128, 128, 64]  # five deconvolutions
    layers = sum(9 * a * b + 3 * b for a, b in zip(widths, widths[1:]))
    assert layers + 64 * 4 + 4 == 4_026_884
    assert sum(p.numel() for part in parts for p in part.parameters()) == 4_026_884
    deconvolutions = [m for m in parts[0].modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert [m.stride for m in deconvolutions] == [(1, 1)] * 5  # the unpooling enlarges


def test_the_pair_differs_in_the_start_alone():
    name = 'deeplabv3plus_mobilenetv2_{}_camvid180.py'
    scratch = Config.fromfile(SURVEY / name.format('scratch')).to_dict()
    pretrained = Config.fromfile(SURVEY / name.format('pretrained')).to_dict()
    assert scratch.pop('init_note') == 'random'
    assert pretrained.pop('init_note').startswith('backbone ImageNet-1k')
    assert scratch['model']['backbone'].pop('init_cfg') is None
    assert pretrained['model']['backbone'].pop('init_cfg')['type'] == 'Pretrained'
    assert scratch == pretrained
