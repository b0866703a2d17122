"""A data set of six pictures and a config that trains on it in two seconds."""

from pathlib import Path

import numpy as np
import pytest

from .paths import ROOT

TINY = """
_base_ = [{runtime!r}, {schedule!r}]
crop_size = (32, 32)
norm_cfg = dict(type='BN', requires_grad=True)
data_preprocessor = dict(
    type='SegDataPreProcessor', mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True, pad_val=0,
    seg_pad_val=255, size=crop_size)
model = dict(
    type='EncoderDecoder', data_preprocessor=data_preprocessor,
    backbone=dict(type='ResNetV1c', depth=18, base_channels=4, stem_channels=4, num_stages=4,
                  strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), norm_cfg=norm_cfg),
    decode_head=dict(
        type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, concat_input=False,
        dropout_ratio=0.1, num_classes=3, norm_cfg=norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
metainfo = dict(classes=('sky', 'tree', 'road'), palette=[[0, 0, 255], [0, 255, 0], [99, 99, 99]])
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=crop_size), dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
dataset = dict(
    type='BaseSegDataset', data_root={data!r}, metainfo=metainfo, img_suffix='.png',
    data_prefix=dict(img_path='img', seg_map_path='mask'))
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(type={metric!r})
test_evaluator = val_evaluator
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
        [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])]
randomness = dict(seed=1)
# the schedule of the base, shortened
train_cfg = dict(max_iters=6, val_interval=3)
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=6, by_epoch=False)]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=3, max_keep_ckpts=-1))
"""


def write_tiny_data(folder: Path, *, count: int = 6, size: int = 40) -> Path:
    """Images whose brightness gives the class away, with masks; deterministic."""
    import cv2

    random = np.random.default_rng(0)
    (folder / 'img').mkdir(parents=True)
    (folder / 'mask').mkdir()
    for index in range(count):
        mask = np.repeat(np.repeat(random.integers(0, 3, (5, 5)), size // 5, 0), size // 5, 1)
        image = mask[..., None] * 90 + random.integers(0, 40, (size, size, 3))
        mask = mask.copy()
        mask[0] = 255
        cv2.imwrite(str(folder / 'img' / f'{index}.png'), image.astype(np.uint8))
        cv2.imwrite(str(folder / 'mask' / f'{index}.png'), mask.astype(np.uint8))
    return folder


def write_tiny_config(
    path: Path, data: Path, *, metric: str = 'SegMetric', extra: str = ''
) -> Path:
    """A config file that trains 6 iterations in two seconds on :func:`write_tiny_data`."""
    bases = ROOT / 'configs' / '_base_'
    path.write_text(
        TINY.format(
            runtime=str(bases / 'default_runtime.py'),
            schedule=str(bases / 'schedules/sgd_poly.py'),
            data=str(data),
            metric=metric,
        )
        + extra
    )
    return path


@pytest.fixture(scope='session')
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_data(tmp_path_factory.mktemp('tiny') / 'data')


@pytest.fixture(scope='session')
def tiny_config(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Path:
    return write_tiny_config(tmp_path_factory.mktemp('config') / 'tiny.py', tiny_data)
