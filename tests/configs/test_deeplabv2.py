"""DeepLab-v2 configs: multipliers, poly, augmentation, original-size testing, COCO-Stuff."""

import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmseg.registry import DATASETS, MODELS
from PIL import Image
from support.paths import ROOT

FOLDER = ROOT / 'configs/deeplabv2'
RESNET = 'deeplabv2_r101_msc_{}'
SETS = ('voc12aug', 'cocostuff10k', 'cocostuff164k')


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def _load(name):
    return Config.fromfile(FOLDER / f'{name}.py')


def _groups(cfg):
    """Rate and decay of every trained parameter, by name, and the optimiser's wrapper."""
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    names = {id(p): n for n, p in model.named_parameters()}
    groups = {names[id(g['params'][0])]: g for g in wrapper.optimizer.param_groups}
    assert len(groups) == len(wrapper.optimizer.param_groups)
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert set(groups) == trained
    return {n: (g['lr'], g['weight_decay']) for n, g in groups.items()}, wrapper


def test_resnet_learns_at_1_10_and_20_times_the_rate():
    groups, _ = _groups(_load(RESNET.format('voc12aug')))
    seen = set()
    for name, found in groups.items():
        if not name.startswith('decode_head.'):
            expected = (2.5e-4, 5e-4)
        else:
            expected = (5e-3, 0.0) if name.endswith('bias') else (2.5e-3, 5e-4)
        assert found == pytest.approx(expected, rel=1e-12), name
        seen.add(expected)
    assert len(seen) == 3 and len(groups) == 104 + 8  # every convolution, no batch norm


def test_vgg_s_other_biases_learn_at_twice_the_rate():
    groups, _ = _groups(_load('deeplabv2_vgg16_largefov_voc12aug'))
    for name, found in groups.items():
        rate = 10 if 'classifiers' in name else 1
        bias = name.endswith('bias')
        assert found == pytest.approx((1e-3 * rate * (2 if bias else 1), 0 if bias else 5e-4))
    assert len(groups) == 2 * (13 + 3)


def test_poly_keeps_the_multipliers_and_ends_at_zero():
    cfg = _load(RESNET.format('voc12aug'))
    cfg.model.backbone.depth = 50
    (poly,) = cfg.param_scheduler
    assert poly.end == 20000
    poly.end = 41
    _, wrapper = _groups(cfg)
    scheduler = PARAM_SCHEDULERS.build(poly, default_args=dict(optimizer=wrapper))
    groups = wrapper.optimizer.param_groups
    start = [g['lr'] for g in groups]
    for iteration in range(41):
        # mmengine reaches zero in the last iteration, not after it: 40, not 41, steps
        factor = (1 - iteration / 40) ** 0.9
        assert [g['lr'] for g in groups] == pytest.approx(
            [lr * factor for lr in start], rel=1e-9, abs=1e-15
        )
        scheduler.step()


@pytest.mark.parametrize('name, iterations', list(zip(SETS, (20000, 20000, 100000))))
def test_lengths_batch_and_head(name, iterations):
    cfg = _load(RESNET.format(name))
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[0].end == cfg.max_iters == iterations
    assert cfg.default_hooks.checkpoint.interval == cfg.train_cfg.val_interval == iterations // 10
    assert cfg.train_dataloader.batch_size == 10
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    counts = [sum(p.numel() for p in m.parameters()) for m in (model.backbone, model.decode_head)]
    assert counts == [42_500_160, 1_548_372 if name == 'voc12aug' else 12_608_172]


# --- pipelines ------------------------------------------------------------------------------------


def _photo(folder, size, label=None):
    height, width = size
    image = np.full((height, width, 3), 99, np.uint8)
    Image.fromarray(image).save(folder / 'photo.jpg')
    label = np.zeros(size, np.uint8) if label is None else label
    Image.fromarray(label).save(folder / 'mask.png')
    return dict(
        img_path=str(folder / 'photo.jpg'), seg_map_path=str(folder / 'mask.png'),
        seg_fields=[], reduce_zero_label=False, label_map=None,
    )  # fmt: skip


@pytest.mark.parametrize('name', ['voc12aug', 'cocostuff164k'])
def test_training_draws_five_scales_of_the_original_size(name, tmp_path):
    np.random.seed(0)
    pipeline = _load(RESNET.format(name)).train_dataloader.dataset.pipeline
    assert [t.type for t in pipeline] == [
        'LoadImageFromFile', 'LoadLabels', 'RandomChoice', 'RandomCrop', 'RandomFlip',
        'PackSegInputs',
    ]  # fmt: skip
    steps = Compose(pipeline[:3])
    sample = _photo(tmp_path, (40, 60))
    shapes = [steps(dict(sample, seg_fields=[])) for _ in range(60)]
    assert all(s['gt_seg_map'].shape == s['img'].shape[:2] for s in shapes)
    found = {s['img'].shape[:2] for s in shapes}
    assert found == {(20, 30), (30, 45), (40, 60), (50, 75), (60, 90)}


def test_a_small_image_is_padded_right_and_below_with_mean_and_255(tmp_path):
    cfg = _load(RESNET.format('voc12aug'))
    packed = Compose(cfg.train_dataloader.dataset.pipeline)(_photo(tmp_path, (60, 80)))
    height, width = packed['inputs'].shape[1:]
    assert height < 321 and width < 321
    preprocess = MODELS.build(cfg.model.data_preprocessor)
    data = preprocess(
        dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']]), training=True
    )
    image, label = data['inputs'][0], data['data_samples'][0].gt_sem_seg.data[0]
    assert image.shape == (3, 321, 321) and label.shape == (321, 321)
    inside = torch.tensor([99 - 104.008, 99 - 116.669, 99 - 122.675])  # BGR, std 1
    torch.testing.assert_close(image[:, height - 1, width - 1], inside, rtol=0, atol=1e-4)
    assert not image[:, height:].any() and not image[:, :, width:].any()
    assert (label == 255).sum() == 321 * 321 - height * width


def test_10k_images_are_warped_to_513_and_scaled_at_once(tmp_path):
    np.random.seed(0)
    pipeline = _load(RESNET.format('cocostuff10k')).train_dataloader.dataset.pipeline
    steps = Compose(pipeline[:3])
    sample = _photo(tmp_path, (40, 60))
    shapes = {steps(dict(sample, seg_fields=[]))['gt_seg_map'].shape for _ in range(60)}
    assert shapes == {(int(513 * s),) * 2 for s in (0.5, 0.75, 1, 1.25, 1.5)}


@pytest.mark.parametrize(
    'name, size',
    [
        (RESNET.format('voc12aug'), (40, 60)),
        (RESNET.format('cocostuff164k'), (40, 60)),
        (RESNET.format('cocostuff10k'), (513, 513)),
        ('deeplabv2_vgg16_largefov_voc12aug', (40, 60)),
    ],
)
def test_testing_scores_at_the_original_size(name, size, tmp_path):
    cfg = _load(name)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        packed = Compose(loader.dataset.pipeline)(_photo(tmp_path, (40, 60)))
        assert packed['inputs'].shape[1:] == size
        sample = packed['data_samples']
        assert sample.ori_shape == sample.gt_sem_seg.shape == (40, 60)
        assert sample.img_shape == size  # the segmentor goes from here to ori_shape
        assert cfg.model.test_cfg == dict(mode='whole')


# --- COCO-Stuff -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'name, split, stored, expected',
    [
        ('cocostuff10k', 'train2014', (0, 1, 171), [255, 0, 170]),
        ('cocostuff164k', 'train2017', (255, 0, 170), [255, 0, 170]),
    ],
)
def test_coco_stuff_labels(name, split, stored, expected, tmp_path):
    cfg = _load(RESNET.format(name)).train_dataloader.dataset
    for kind in ('images', 'annotations'):
        (tmp_path / kind / split).mkdir(parents=True)
    photo = np.zeros((8, 9, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / f'images/{split}/000009.jpg')
    mask = np.repeat(np.repeat(np.array([stored], np.uint8), 3, axis=1), 8, axis=0)
    Image.fromarray(mask).save(tmp_path / f'annotations/{split}/000009_labelTrainIds.png')
    cfg.update(data_root=str(tmp_path), pipeline=cfg.pipeline[:2])
    dataset = DATASETS.build(cfg)
    assert len(dataset) == 1 and len(dataset.metainfo['classes']) == 171
    assert dataset[0]['gt_seg_map'][0, ::3].tolist() == expected


def test_absent_coco_stuff_says_how_to_get_it(tmp_path):
    cfg = _load(RESNET.format('cocostuff10k')).val_dataloader.dataset
    cfg.data_root = str(tmp_path)
    with pytest.raises(FileNotFoundError, match='dataset_converters/coco_stuff10k.py'):
        DATASETS.build(cfg)
