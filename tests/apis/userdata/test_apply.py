"""--dataset: every config on a tiny folder of the user's, its rules, its errors, one real run."""

import copy
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS, TRANSFORMS
from PIL import Image
from support.kinds import KINDS
from support.paths import ROOT
from support.user_folder import SIZE, TEXT, VALUES, write_folder

from mmseg_ext.apis.config.check import check_config
from mmseg_ext.apis.config.semi import plain_model, take_apart
from mmseg_ext.apis.folds.fold import use_fold
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.userdata.apply import apply_dataset
from mmseg_ext.apis.userdata.read import read_data_file

CONFIGS = sorted(p for p in (ROOT / 'configs').rglob('*.py')
                 if '_base_' not in p.parts and not p.name.startswith('_'))  # fmt: skip
PARTS = ('train', 'val', 'test')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp('user'))
    (folder / 'mine.yml').write_text(TEXT + 'unlabelled: images/train\n')
    return folder


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


@cache
def _load(path):
    return Config.fromfile(path)


def _config(name):
    return copy.deepcopy(_load(next(p for p in CONFIGS if p.stem == name)))


def _heads(cfg):
    found = []
    for key in ('decode_head', 'auxiliary_head'):
        head = cfg.model.get(key)
        found += head if isinstance(head, list) else [head] if head else []
    return found


def _losses(head):
    found = head.loss_decode
    return found if isinstance(found, list) else [found]


def test_configs_were_found():
    assert len(CONFIGS) >= 115


@pytest.fixture(scope='module')
def seen():
    return set()


@pytest.mark.parametrize('path', CONFIGS, ids=[p.stem for p in CONFIGS])
def test_every_config_follows_the_data(path, folder, seen):
    row = _load(path)
    cfg, row = copy.deepcopy(row), copy.deepcopy(row)
    plain = plain_model(row.model)
    assert (plain.type, (plain.get('backbone') or {}).get('type')) in KINDS
    apply_dataset(cfg, folder / 'mine.yml')
    check_config(cfg)
    if take_apart(row) is not None:  # of semi-supervised rows, the labelled part is looked at here
        assert len(DATASETS.build(cfg.train_dataloader.dataset.datasets[1])) == 6
        take_apart(cfg)
    heads = _heads(cfg)
    assert heads or cfg.model.num_classes == 3  # detectors have no head
    assert all(h.num_classes == 3 and h.ignore_index == 255 for h in heads)
    assert cfg.num_classes == 3 and cfg.ignore_index == 255
    _check_losses(heads)
    _check_data(cfg, seen)
    _check_crop(cfg, row)
    _check_length(cfg, row)


def _check_data(cfg, seen):
    text = str([cfg[f'{part}_dataloader'].dataset for part in PARTS])
    if text in seen:  # rows that differ in the network alone
        return
    seen.add(text)
    for part, images in zip(PARTS, (6, 3, 3)):
        dataset = DATASETS.build(cfg[f'{part}_dataloader'].dataset)
        assert len(dataset) == images and dataset.metainfo['classes'] == (
            'background',
            'cat',
            'dog',
        )
        sample = dataset[0]
        label = sample['data_samples'].gt_sem_seg.data
        assert set(label.unique().tolist()) <= {0, 1, 2, 255}
        if part != 'train':
            assert tuple(label.shape[-2:]) == SIZE  # scored at the images' own size


def _check_losses(heads):
    for head in heads:
        for loss in _losses(head):
            for key in ('class_weight', 'counts', 'image_pixels'):
                assert len(loss.get(key) or [0] * 3) == 3
            assert set(loss.get('positive') or []) in ({1, 2}, set())


def _check_crop(cfg, row):
    crop = tuple(cfg.model.data_preprocessor.size)
    fixed = 'img_size' in cfg.model.get('backbone', {})
    # 100x150 is cut to multiples of 32, but a row that shows less of an image keeps its own crop
    before = tuple(row.crop_size)
    small = (128, 128) if row.get('scale') == (240, 180) else before
    assert crop == (before if fixed else (min(96, small[0]), min(128, small[1])))
    assert tuple(cfg.crop_size) == crop and cfg.model.data_preprocessor.seg_pad_val == 255
    steps = {step['type']: step for step in cfg.train_dataloader.dataset.pipeline}
    keys = dict(RandomCrop='crop_size', LetterboxAugment='size', AlignedResize='scale')
    sizes = [tuple(steps[s][k]) for s, k in keys.items() if s in steps]
    assert sizes == [crop if 'AlignedResize' not in steps else crop[::-1]]


def _check_length(cfg, row):
    if 'max_iters' not in row.train_cfg:
        assert cfg.train_cfg == row.train_cfg and cfg.param_scheduler == row.param_scheduler
        assert cfg.train_dataloader.batch_size <= 6
        return
    length = row.train_cfg.max_iters
    if row.get('train_images'):
        passes = round(length * 6 / row.train_images)  # over six images, fewer than any row's
        length = min(length, max(passes, 1000))
    assert cfg.train_cfg.max_iters == length and cfg.param_scheduler[-1].end == length
    assert cfg.train_cfg.val_interval <= length
    assert cfg.train_dataloader.batch_size == row.train_dataloader.batch_size


# ------------------------------------------------------------------------------- losses


def _median_weights(folder, classes=3):
    """Eigen and Fergus: median of the shares over the share, by loops over the masks."""
    pixels, around = np.zeros(classes), np.zeros(classes)
    for path in sorted((folder / 'masks/train').iterdir()):
        mask = np.asarray(Image.open(path))
        for k, value in enumerate(VALUES[:classes]):
            pixels[k] += (mask == value).sum()
            around[k] += mask.size * (mask == value).any()
    share = pixels / around
    return np.median(share) / share


def test_class_weights_are_those_of_the_masks(folder):
    cfg = _config('segnet_basic_camvid')
    assert len(cfg.model.decode_head.loss_decode.class_weight) == 11
    apply_dataset(cfg, folder / 'mine.yml')
    weights = cfg.model.decode_head.loss_decode.class_weight
    np.testing.assert_allclose(weights, _median_weights(folder), atol=5.1e-5)


def test_counts_follow_and_a_spare_weight_stays(folder):
    cfg = _config('resegnet_camvid')
    cfg.model.decode_head.loss_decode = [
        dict(type='BalancedCrossEntropyLoss', mode='per_class', counts=[1] * 11),
        dict(type='CrossEntropyLoss', class_weight=[1.0] * 11 + [0.1], loss_name='loss_mask'),
    ]
    apply_dataset(cfg, folder / 'mine.yml')
    balanced, masks = cfg.model.decode_head.loss_decode
    pixels = [0, 0, 0]
    for path in (folder / 'masks/train').iterdir():
        mask = np.asarray(Image.open(path))
        pixels = [n + int((mask == v).sum()) for n, v in zip(pixels, VALUES)]
    assert balanced.counts == pixels and sum(pixels) == 6 * 99 * 150
    assert balanced.image_pixels == [6 * 100 * 150] * 3
    assert len(masks.class_weight) == 4 and masks.class_weight[-1] == 0.1


def test_positive_classes(folder, tmp_path):
    cfg = _config('resegnet_bce_camvid180')
    apply_dataset(cfg, folder / 'mine.yml')
    assert cfg.model.decode_head.loss_decode.positive == [1, 2]
    # No background: those with less than a third of the pixels.
    other = write_folder(tmp_path / 'other')
    for path in (other / 'masks').rglob('*.png'):
        ids = np.zeros(SIZE, np.uint8)
        ids[:20], ids[20:50] = 7, 9  # shares 0.2, 0.3 and 0.5 of value 0
        Image.fromarray(ids).save(path)
    text = TEXT.replace('background', 'road')
    (other / 'mine.yml').write_text(text)
    for name in ('resegnet_bce_camvid180', 'resegnet_bce_voc12aug'):
        cfg = _config(name)
        apply_dataset(cfg, other / 'mine.yml')
        assert cfg.model.decode_head.loss_decode.positive == [1, 2]
    cfg = _config('fmsi_xception_voc')  # fills up with background, which these data lack
    apply_dataset(cfg, other / 'mine.yml')
    assert [s.label_fill for s in cfg.train_pipeline if s.type == 'LetterboxAugment'] == [255]


def test_a_head_of_one_channel_gets_one_for_each_class(folder):
    cfg = _config('resegnet_camvid')
    cfg.model.decode_head.update(
        num_classes=2, out_channels=1, threshold=0.3,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    )  # fmt: skip
    cfg.model.auxiliary_head = [dict(cfg.model.decode_head, type='FCNHead')]
    apply_dataset(cfg, folder / 'mine.yml')
    assert len(list(_heads(cfg))) == 2
    for head in _heads(cfg):
        assert head.out_channels == head.num_classes == 3 and 'threshold' not in head
        assert 'use_sigmoid' not in head.loss_decode


# ----------------------------------------------------------------------- size and length


@pytest.mark.parametrize(
    'size, crop, scale',
    [
        ((64, 64), (64, 64), (64, 64)),
        ((50, 40), (64, 64), (40, 50)),  # padded
        ((300, 400), (288, 384), (400, 300)),
        ((512, 600), (512, 512), (2048, 512)),
        ((1000, 3000), (512, 512), (2048, 512)),  # shown at 0.512 of its size
    ],
)
def test_crop_and_base_size(tmp_path, size, crop, scale):
    folder = write_folder(tmp_path / 'data', size=size, counts=(2, 1))
    cfg = _config('deeplabv2_r101_msc_voc12aug')  # any row: with the plain VOC pipeline below
    row = Config.fromfile(ROOT / 'configs/_base_/datasets/voc12.py')
    for part in PARTS:
        cfg[f'{part}_dataloader'].dataset.pipeline = row[f'{part}_dataloader'].dataset.pipeline
    cfg.model.data_preprocessor.size = cfg.crop_size = (512, 512)
    cfg.model.test_cfg = dict(mode='slide', crop_size=(512, 512), stride=(256, 128))
    apply_dataset(cfg, folder / 'mine.yml')
    assert cfg.crop_size == crop and cfg.model.data_preprocessor.size == crop
    resize = next(s for s in cfg.train_dataloader.dataset.pipeline if s.type == 'RandomResize')
    assert tuple(resize.scale) == scale
    assert cfg.model.test_cfg.crop_size == crop
    assert cfg.model.test_cfg.stride == (crop[0] // 2, crop[1] // 4)


def test_the_file_may_set_the_crop(folder):
    (folder / 'crop.yml').write_text(TEXT + 'crop_size: [40, 56]\nname: x\n')
    cfg = _config('segnet_basic_camvid')
    apply_dataset(cfg, folder / 'crop.yml')
    assert cfg.crop_size == (40, 56) == cfg.model.data_preprocessor.size
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert tuple(dataset[0]['inputs'].shape) == (3, 40, 56)


def test_networks_built_for_one_size_keep_their_crop(folder):
    cfg = _config('segnet_basic_camvid')
    cfg.model.backbone.img_size = (360, 480)
    apply_dataset(cfg, folder / 'mine.yml')
    assert cfg.crop_size == (360, 480)


@pytest.mark.parametrize(
    'rows, images, expected',
    [
        (20000, 6, 20000),  # as many images: the row's
        (20000, 3, 20000),  # twice the images: no longer than the row
        (20000, 12, 10000),  # half of them: as many passes
        (20000, 600, 1000),  # never below 1000 ...
        (400, 600, 400),  # ... or the row's
    ],
)
def test_iterations(folder, rows, images, expected):
    cfg = _config('deeplabv2_r101_msc_voc12aug')
    cfg.train_cfg.max_iters, cfg.train_images = rows, images
    cfg.param_scheduler[0].end = rows
    apply_dataset(cfg, folder / 'mine.yml')
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[0].end == expected


def test_a_row_that_says_nothing_of_its_images_keeps_its_iterations(folder):
    cfg = _config('deeplabv2_r101_msc_voc12aug')
    cfg.pop('train_images')
    apply_dataset(cfg, folder / 'mine.yml')
    assert cfg.train_cfg.max_iters == 20000


def test_configs_with_iterations_say_how_many_images_they_have():
    cfgs = [Config.fromfile(p) for p in (ROOT / 'configs/_base_/datasets').glob('*.py')]
    named = {cfg.data_root: cfg.train_images for cfg in cfgs if 'train_images' in cfg}
    assert len(named) >= 8 and all(number > 0 for number in named.values())
    checked = 0
    for cfg in cfgs:
        root = cfg.get('data_root')
        if root and Path(root).is_dir() and 'shapes' not in root and 'VOCdevkit' not in root:
            dataset = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=[]))
            assert len(dataset) == cfg.train_images
            checked += 1
    if not checked:
        pytest.skip('none of the data sets is there')


def test_a_second_run_starts_from_the_first_on_the_same_data(folder):
    cfg = _config('fmsi_xception_repo_voc12aug')
    assert cfg.load_from == 'work_dirs/fmsi_xception_repo_frozen_voc12aug/epoch_50.pth'
    apply_dataset(cfg, folder / 'mine.yml')
    assert cfg.load_from == 'work_dirs/fmsi_xception_repo_frozen_voc12aug-mine/epoch_50.pth'
    cfg = _config('fmsi_xception_repo_voc12aug')
    cfg.load_from = 'work_dirs/other_row/iter_40000.pth'  # 40000 * 6 / 10582 is below the least
    apply_dataset(cfg, folder / 'mine.yml')
    assert cfg.load_from == 'work_dirs/other_row-mine/iter_1000.pth'


@pytest.mark.parametrize(
    ('images', 'masks'),
    [('images/{}', 'masks/{}'), ('{}/images', '{}/masks'), ('{}', '{}_gt'), ('images/{}', 'gt')],
)
def test_folds_pool_both_splits_of_any_layout(tmp_path, images, masks):
    text, blank = TEXT, Image.fromarray(np.zeros(SIZE, np.uint8))
    for part in ('train', 'val'):
        text = text.replace(f'images/{part}', images.format(part))
        text = text.replace(f'masks/{part}', masks.format(part))
        for folder in (images, masks):
            (tmp_path / folder.format(part) / 'case').mkdir(parents=True, exist_ok=True)
            for index in range(3):
                blank.save(tmp_path / folder.format(part) / 'case' / f'{part}{index}.png')
    (tmp_path / 'mine.yml').write_text(text)
    cfg = _config('mfp_mobilenetv2_bmseg')
    apply_dataset(cfg, tmp_path / 'mine.yml')
    cfg.work_dir = str(tmp_path / 'work')
    use_fold(cfg, fold=1, num_folds=3)
    pairs = {}
    for part, count in (('train', 4), ('test', 2)):
        dataset = DATASETS.build(dict(cfg[f'{part}_dataloader'].dataset, pipeline=[]))
        assert len(dataset) == count
        infos = [dataset.get_data_info(index) for index in range(count)]
        pairs.update((info['img_path'], info['seg_map_path']) for info in infos)
    assert pairs == {
        str(tmp_path / images.format(part) / 'case' / f'{part}{index}.png'):
        str(tmp_path / masks.format(part) / 'case' / f'{part}{index}.png')
        for part in ('train', 'val') for index in range(3)
    }  # fmt: skip


def test_options_win_and_the_work_folder_names_both(folder):
    path = next(p for p in CONFIGS if p.stem == 'segnet_basic_camvid180')
    options = {'max_iters': 12, 'train_dataloader.batch_size': 2}
    cfg = load_config(path, dataset=folder / 'mine.yml', options=options)
    assert cfg.work_dir == 'work_dirs/segnet_basic_camvid180-mine'
    assert cfg.train_cfg.max_iters == 12 and cfg.train_dataloader.batch_size == 2


# ------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    'old, new, message',
    [
        ('- {name: dog, value: 9}\n', '', r'masks/train/0\.png: the mask holds the values 9, and '
         r'.*bad\.yml names 2 classes with the values 0, 7: add the missing ones'),
        ('ignore_value: 255', '', r'the mask holds the values 255, and'),
        ('images/val', 'images/vel', r'images/vel: no such folder, which .*bad\.yml names as val'),
        ('masks: masks/val', 'masks: images', r'split val has no mask for the image'),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused(folder, old, new, message):
    (folder / 'bad.yml').write_text(TEXT.replace(old, new))
    before = sorted(folder.rglob('*'))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_config(CONFIGS[0], dataset=folder / 'bad.yml')
    assert sorted(folder.rglob('*')) == before


def test_color_masks_of_an_unknown_palette_are_refused(tmp_path):
    folder = write_folder(tmp_path / 'data', counts=(2, 1))
    for path in (folder / 'masks').rglob('*.png'):
        Image.fromarray(np.full((*SIZE, 3), [200, 30, 7], np.uint8)).save(path)
    with pytest.raises(ValueError, match=r'holds colors \(\[200, 30, 7\]\), where .* expects'):
        apply_dataset(_config('segnet_basic_camvid'), folder / 'mine.yml')
    text = TEXT.replace('value: 7, color: [255, 0, 0]', 'color: [1, 1, 1]')
    text = text.replace('value: 0', 'color: [0, 0, 0]').replace('value: 9', 'color: [2, 2, 2]')
    text = text.replace('ignore_value: 255', 'masks: colors')
    (folder / 'mine.yml').write_text(text)
    with pytest.raises(ValueError, match=r'colors \(RGB\) \[200, 30, 7\], and .* names 3 classes'):
        apply_dataset(_config('segnet_basic_camvid'), folder / 'mine.yml')


def test_a_value_met_in_training_only_is_refused_there(folder):
    cfg = _config('segnet_basic_camvid')
    apply_dataset(cfg, folder / 'mine.yml')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    info = dataset.get_data_info(0)
    info['label_map'] = {0: 0, 7: 1}
    with pytest.raises(ValueError, match=r'values \[9, 255\], which label_map leaves out'):
        TRANSFORMS.build(dict(type='LoadLabels')).transform(info)


# ---------------------------------------------------------------------------------- runs


@pytest.mark.parametrize('name', ['segnet_basic_camvid', 'unet_s5d16_bmseg', 'mfp_attn_eca'])
def test_models_take_a_step_on_the_data(name, folder):
    cfg = _config(name)
    apply_dataset(cfg, folder / 'mine.yml')
    cfg.model.backbone.pop('init_cfg', None)
    torch.manual_seed(0)
    net = MODELS.build(cfg.model)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    batch = net.data_preprocessor(pseudo_collate([dataset[0], dataset[1]]), True)
    assert tuple(batch['inputs'].shape[-2:]) == tuple(cfg.crop_size)
    loss, _ = net.parse_losses(net(**batch, mode='loss'))
    loss.backward()
    assert loss.isfinite()
    # without its background, the loss knows nothing of the ignored pixels
    for sample in batch['data_samples']:
        sample.gt_sem_seg.data.fill_(255)
    loss, _ = net.parse_losses(net(**batch, mode='loss'))
    assert loss.item() == 0


def test_train_and_test_by_the_tools(tmp_path, tiny_config, python_tool):
    folder = write_folder(tmp_path / 'photos', size=(40, 40), counts=(4, 2))
    tools = ROOT / 'tools'
    done = python_tool(
        tools / 'dataset.py', 'init', 'photos', '--classes', 'wall', 'cat', 'dog', cwd=tmp_path
    )  # fmt: skip
    assert 'my_data.yml: 3 classes, images: train 4, val 2' in done.stdout
    done = python_tool(tools / 'dataset.py', 'check', 'my_data.yml', cwd=tmp_path)
    assert 'written to my_data_check.html' in done.stdout
    assert 'next: python tools/train.py CONFIG --dataset my_data.yml' in done.stdout
    data = read_data_file(tmp_path / 'my_data.yml')
    assert data.classes == ('wall', 'cat', 'dog')
    assert data.values == {0: 0, 7: 1, 9: 2, 255: 255} and data.root == folder
    for tool in ('train', 'test'):
        done = python_tool(
            tools / f'{tool}.py', tiny_config, '--dataset', 'my_data.yml', cwd=tmp_path
        )
    work_dir = tmp_path / 'work_dirs/tiny-photos'
    results = json.loads((work_dir / 'results.json').read_text())
    assert results['dataset'] == dict(name='photos', split='val', num_images=2)
    assert list(results['per_class']['IoU']) == ['wall', 'cat', 'dog']
    assert np.sum(results['confusion']) == 2 * 39 * 40  # row 0 is ignored
    broken = (tmp_path / 'my_data.yml').read_text().replace('images/val', 'images/gone')
    (tmp_path / 'my_data.yml').write_text(broken)
    done = python_tool(
        tools / 'train.py', tiny_config, '--dataset', 'my_data.yml', '--work-dir', 'fresh',
        cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and 'images/gone: no such folder' in done.stderr
    assert not (tmp_path / 'fresh').exists()
