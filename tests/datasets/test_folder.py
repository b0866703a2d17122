"""FolderDataset, VOCDataset and CamVidDataset on folders made here."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from support.paths import ROOT

from mmseg_ext.datasets.loading import LoadLabels
from mmseg_ext.datasets.stem_files import files_by_stem


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')


LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadLabels')]
TWO = dict(classes=('background', 'bone'))
PREFIX = dict(img_path='img', seg_map_path='mask')


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.asarray(values, np.uint8))


def make_pairs(root, stems, *, value=1, ending='.png', mask_ending='.png'):
    for index, stem in enumerate(stems):
        write(root / f'img/{stem}{ending}', np.full((4, 6, 3), 10 * index))
        mask = np.zeros((4, 6))
        mask[index % 4] = value
        write(root / f'mask/{stem}{mask_ending}', mask)


def build(root, **settings):
    settings = dict(
        type='FolderDataset', data_root=str(root), data_prefix=dict(PREFIX), metainfo=TWO,
        pipeline=LOAD, **settings,
    )  # fmt: skip
    return DATASETS.build(Config(settings)._cfg_dict)


def stems_of(dataset):
    return [Path(dataset.get_data_info(i)['img_path']).stem for i in range(len(dataset))]


def test_pairs_by_stem_whatever_the_suffix_and_the_subfolder(tmp_path):
    make_pairs(tmp_path, ['b', 'sub/a'], ending='.JPG')
    make_pairs(tmp_path, ['a'], ending='.tif', mask_ending='.tiff')
    (tmp_path / 'img/notes.txt').write_text('no image')
    (tmp_path / 'img/.hidden.png').write_bytes(b'')
    dataset = build(tmp_path)
    pairs = [
        (info['img_path'], info['seg_map_path'])
        for info in map(dataset.get_data_info, range(len(dataset)))
    ]
    relative = [tuple(os.path.relpath(p, tmp_path) for p in pair) for pair in pairs]
    assert relative == [
        ('img/a.tif', 'mask/a.tiff'),
        ('img/b.JPG', 'mask/b.png'),
        ('img/sub/a.JPG', 'mask/sub/a.png'),
    ]


def test_masks_with_an_ending_of_their_own(tmp_path):
    make_pairs(tmp_path, ['x', 'y'], mask_ending='_gt.png')
    dataset = build(tmp_path, seg_map_suffix='_gt.png')
    assert stems_of(dataset) == ['x', 'y']
    np.testing.assert_array_equal(dataset[1]['gt_seg_map'][1], np.ones(6))


def test_ann_file_chooses_and_orders(tmp_path):
    make_pairs(tmp_path, ['a', 'b', 'c'])
    (tmp_path / 'some.txt').write_text('c\n\na\n')
    assert stems_of(build(tmp_path, ann_file='some.txt')) == ['c', 'a']
    (tmp_path / 'some.txt').write_text('c\nz\n')
    with pytest.raises(FileNotFoundError, match=r"some\.txt names 'z'"):
        build(tmp_path, ann_file='some.txt')


def test_stems_are_left_out_with_and_without_a_list(tmp_path):
    make_pairs(tmp_path, 'abc')
    assert stems_of(build(tmp_path, left_out=['b', 'none'])) == ['a', 'c']
    (tmp_path / 'some.txt').write_text('c\nb\na\n')
    assert stems_of(build(tmp_path, ann_file='some.txt', left_out=['c'])) == ['b', 'a']


def test_binary_masks_of_0_and_255(tmp_path):
    make_pairs(tmp_path, ['a', 'b'], value=255)
    dataset = build(tmp_path, label_map={255: 1})
    np.testing.assert_array_equal(dataset[0]['gt_seg_map'], [[1] * 6] + [[0] * 6] * 3)
    assert dataset.metainfo['classes'] == ('background', 'bone')
    with pytest.raises(ValueError, match=r'label_map=\{255: 1\}'):
        build(tmp_path)


def test_threshold_and_zero_label(tmp_path):
    make_pairs(tmp_path, ['a', 'b'], value=200)
    assert set(np.unique(build(tmp_path, mask_threshold=127)[0]['gt_seg_map'])) == {0, 1}
    make_pairs(tmp_path, ['a', 'b'], value=2)
    dataset = build(tmp_path, reduce_zero_label=True)
    assert set(np.unique(dataset[0]['gt_seg_map'])) == {1, 255}


def test_folder_without_masks(tmp_path):
    make_pairs(tmp_path, ['a'])
    settings = dict(
        type='FolderDataset', data_root=str(tmp_path), data_prefix=dict(img_path='img'),
        metainfo=TWO, pipeline=LOAD, test_mode=True,
    )  # fmt: skip
    assert 'gt_seg_map' not in DATASETS.build(settings)[0]


def test_contradictions_are_refused(tmp_path):
    make_pairs(tmp_path, ['a'])
    with pytest.raises(ValueError, match='classes'):
        DATASETS.build(dict(type='FolderDataset', metainfo={}, data_prefix=PREFIX))
    with pytest.raises(ValueError, match='not both'):
        build(tmp_path, label_map={2: 1}, reduce_zero_label=True)
    with pytest.raises(ValueError, match="'index' or 'color'"):
        build(tmp_path, mask_format='rgb')
    with pytest.raises(ValueError, match='needs the palette'):
        build(tmp_path, mask_format='color')
    make_pairs(tmp_path, ['a'], ending='.bmp')
    with pytest.raises(ValueError, match='same stem'):
        build(tmp_path)
    (tmp_path / 'img/a.bmp').unlink()
    (tmp_path / 'mask/a.png').unlink()
    with pytest.raises(FileNotFoundError, match='no mask for the image of this stem'):
        build(tmp_path)


def voc_folder(root, splits):
    for name, stems in splits.items():
        for stem in stems:
            write(root / f'JPEGImages/{stem}.jpg', np.full((4, 6, 3), 90))
            folder = 'SegmentationClassAug' if name == 'aug' else 'SegmentationClass'
            write(root / f'{folder}/{stem}.png', np.full((4, 6), 5 if name == 'aug' else 3))
        path = root / f'ImageSets/Segmentation/{name}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('\n'.join(stems) + '\n')


def base_config(name, monkeypatch, folder):
    monkeypatch.setenv('MMSEG_EXT_DATA', str(folder))
    (path,) = (ROOT / 'configs').rglob(f'{name}.py')
    return Config.fromfile(path)


def test_voc_aug_config_joins_two_lists_with_their_masks(tmp_path, monkeypatch):
    voc_folder(tmp_path / 'VOCdevkit/VOC2012', dict(train=['a', 'b'], aug=['c'], val=['d']))
    config = base_config('voc12aug', monkeypatch, tmp_path)
    config.train_dataloader.dataset.pipeline = LOAD
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert stems_of(dataset) == ['a', 'b', 'c']
    assert [int(dataset[i]['gt_seg_map'][0, 0]) for i in range(3)] == [3, 3, 5]
    config.val_dataloader.dataset.pipeline = LOAD
    assert stems_of(DATASETS.build(config.val_dataloader.dataset)) == ['d']
    lists = tmp_path / 'VOCdevkit/VOC2012/ImageSets/Segmentation'
    (lists / 'aug.txt').write_text('b\nc\n')
    with pytest.raises(ValueError, match='1 images are in'):
        DATASETS.build(config.train_dataloader.dataset)


@pytest.fixture
def published(tmp_path):
    """VOC with a list of few labels as UniMatch publishes it, one of its masks from SBD."""
    root = tmp_path / 'VOCdevkit/VOC2012'
    voc_folder(root, dict(train=['a', 'b'], aug=['c', 'd'], val=['e']))
    folder = root / 'ImageSets/UniMatch/183'
    folder.mkdir(parents=True)
    for name, stems in dict(labeled='ac', unlabeled='bd').items():
        lines = [f'JPEGImages/{stem}.jpg SegmentationClass/{stem}.png' for stem in stems]
        (folder / f'{name}.txt').write_text('\n'.join(lines))  # no newline at its end
    return tmp_path


def test_published_lists_of_few_labels_are_read_as_they_are(published, monkeypatch):
    config = base_config('unimatch_deeplabv3plus_r50_voc12aug_183', monkeypatch, published)
    labelled, others = config.train_dataloader.dataset.datasets
    labelled.pipeline = LOAD
    dataset = DATASETS.build(labelled)
    assert stems_of(dataset) == ['a', 'c']
    assert [int(dataset[i]['gt_seg_map'][0, 0]) for i in (0, 1)] == [3, 5]  # VOC's, SBD's
    others.pipeline = []
    dataset = DATASETS.build(others)
    assert stems_of(dataset) == ['b', 'd'] and all('seg_map_path' not in one for one in dataset)
    for name in ('labeled', 'unlabeled'):
        (published / f'VOCdevkit/VOC2012/ImageSets/UniMatch/183/{name}.txt').unlink()
    for part in (labelled, others):
        with pytest.raises(FileNotFoundError, match='labeled.txt: no such split file') as found:
            DATASETS.build(part)
        assert 'copy splits/pascal of github.com/LiheYoung/UniMatch' in str(found.value)
        assert '\n' not in str(found.value)


def test_a_mask_that_neither_folder_has_is_named(published, monkeypatch):
    config = base_config('deeplabv3plus_r50_voc12aug_183', monkeypatch, published)
    (published / 'VOCdevkit/VOC2012/SegmentationClassAug/c.png').unlink()
    with pytest.raises(FileNotFoundError, match='SegmentationClassAug/c.png: no such file'):
        DATASETS.build(config.train_dataloader.dataset)


@pytest.mark.parametrize('name', ['voc12', 'fmsi_xception_voc12_trainval91'])
def test_voc_configs_read_the_voc_layout(tmp_path, monkeypatch, name):
    prefix = 'trainval91_' if name.endswith('91') else ''
    voc_folder(
        tmp_path / 'VOCdevkit/VOC2012', {f'{prefix}train': ['a', 'b'], f'{prefix}val': ['c']}
    )
    config = base_config(name, monkeypatch, tmp_path)
    assert stems_of(DATASETS.build(config.train_dataloader.dataset)) == ['a', 'b']
    assert stems_of(DATASETS.build(config.val_dataloader.dataset)) == ['c']


@pytest.mark.parametrize('name', ['camvid', 'shapes', 'voc12', 'voc12aug', 'voc12_subset'])
def test_facts_of_the_base_configs_agree(name, monkeypatch):
    config = base_config(name, monkeypatch, 'nowhere')
    dataset_class = DATASETS.get(config.dataset_type)
    assert len(dataset_class.METAINFO['classes']) == config.num_classes
    assert len(dataset_class.METAINFO['palette']) == config.num_classes
    crops = [t.crop_size for t in config.train_pipeline if t.type == 'RandomCrop']
    assert crops == [config.crop_size] and config.ignore_index == 255
    for split in ('train', 'val', 'test'):
        assert config[f'{split}_dataloader'].dataset.type == config.dataset_type


def test_camvid_of_real_files():
    data = os.environ.get('MMSEG_EXT_DATA')
    if not data or not os.path.isdir(f'{data}/camvid'):
        pytest.skip('MMSEG_EXT_DATA holds no camvid')
    config = Config.fromfile(ROOT / 'configs/_base_/datasets/camvid.py')
    sizes = {}
    for split in ('train', 'val', 'test'):
        settings = config[f'{split}_dataloader'].dataset
        settings.pipeline = LOAD
        dataset = DATASETS.build(settings)
        sizes[split] = len(dataset)
    assert sizes == dict(train=367, val=101, test=233)
    # The README of the data gives 26.84 % road and 0.20 % bicyclist among test's labelled pixels.
    counts = np.zeros(256, np.int64)
    for index in range(len(dataset)):
        mask = LoadLabels().transform(dataset.get_data_info(index))['gt_seg_map']
        counts += np.bincount(mask.ravel(), minlength=256)
    share = counts[:11] / counts[:11].sum()
    assert share[3] == pytest.approx(0.2684, abs=5e-5)
    assert share[10] == pytest.approx(0.0020, abs=5e-5)


def test_a_list_that_is_no_text_is_named(tmp_path):
    from mmseg_ext.datasets.folder import read_list

    (tmp_path / 'train.txt').write_bytes(b'\xff\xfea')
    with pytest.raises(ValueError, match=r'train\.txt begins as UTF-16'):
        read_list(tmp_path / 'train.txt')


def test_a_folder_that_may_not_be_read_is_named_as_its_files_would_be_missing(
    tmp_path, monkeypatch
):
    make_pairs(tmp_path, ['a', 'closed/b'])
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith('closed'):
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', refuse)
    with pytest.raises(PermissionError, match='closed: this folder may not be read: allow it'):
        build(tmp_path)
    monkeypatch.undo()
    assert len(build(tmp_path)) == 2


def test_files_are_named_as_pathlib_does_and_in_its_order(tmp_path, monkeypatch):
    names = ['b-1/x.png', 'b/y.JPG', 'b/.z.png', 'a.png', 'b.png', 'b/n.txt', '.h/q.png']
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    expected = sorted(Path(tmp_path, name) for name in ('a.png', 'b.png', 'b/y.JPG', 'b-1/x.png'))
    found = files_by_stem(f'{tmp_path}/', ('.png', '.jpg'))
    assert found == {
        path.relative_to(tmp_path).with_suffix('').as_posix(): str(path) for path in expected
    }
    assert list(found.values()) == [str(path) for path in expected] and len(found) == 4
    monkeypatch.chdir(tmp_path)
    assert files_by_stem('.', ('.png',))['b-1/x'] == 'b-1/x.png'
