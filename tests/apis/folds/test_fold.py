"""A fold as arguments of a run: which images each data set then reads, and what is refused."""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from mmseg_ext.apis.folds.arguments import add_fold_arguments
from mmseg_ext.apis.folds.fold import use_fold, use_fold_arguments
from mmseg_ext.apis.folds.pool import read_pool

TWO = dict(classes=('background', 'bone'), palette=[[0, 0, 0], [255, 0, 0]])
LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadLabels')]


def write_pair(root, stem, *, image='img', mask='mask', suffix='.png', bone=True):
    for folder, ending, value in ((image, suffix, 90), (mask, '.png', int(bone))):
        path = root / folder / f'{stem}{ending}'
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (4, 6, 3) if folder == image else (4, 6)
        cv2.imwrite(str(path), np.full(shape, value, np.uint8))


def config_of(dataset, work, **parts):
    """A config whose three data sets are ``dataset`` but for the changes in ``parts``."""
    loaders = {
        f'{part}_dataloader': dict(
            batch_size=1,
            dataset=dict(
                dataset,
                pipeline=[*LOAD, dict(type='PackSegInputs', part=part)],
                **parts.get(part, {}),
            ),  # fmt: skip
        )
        for part in ('train', 'val', 'test')
    }
    return Config(dict(loaders, test_evaluator=dict(type='SegMetric'), work_dir=str(work)))


def folder_dataset(root, **changes):
    prefix = dict(img_path='img', seg_map_path='mask')
    return dict(
        dict(type='FolderDataset', data_root=str(root), data_prefix=prefix, metainfo=TWO), **changes
    )


def read(cfg, part):
    """Images and masks that a part of the config reads, below the root."""
    init_default_scope('mmseg')
    dataset = DATASETS.build(
        dict(cfg[f'{part}_dataloader'].dataset, pipeline=[], serialize_data=False)
    )
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [(Path(info['img_path']), Path(info['seg_map_path'])) for info in infos]


def images_of_folds(make_config, num_folds, **settings):
    """Take every fold of fresh configs; the images held out, having checked the rest."""
    held_out = []
    for fold in range(num_folds):
        cfg = make_config()
        use_fold(cfg, fold=fold, num_folds=num_folds, **settings)
        train, val, test = (read(cfg, part) for part in ('train', 'val', 'test'))
        assert val == test and not set(train) & set(val)
        # each part keeps its own pipeline
        for part in ('train', 'val', 'test'):
            assert cfg[f'{part}_dataloader'].dataset.pipeline[-1].part == part
        held_out.append([str(image) for image, _ in val])
        total = sorted(str(image) for image, _ in train + val)
    assert sorted(sum(held_out, [])) == total and len(set(total)) == len(total)
    return held_out


def test_a_folder_with_subfolders(tmp_path):
    for stem in ('a', 'b', 'sub/a', 'sub/b', 'sub/c'):
        write_pair(tmp_path, stem, suffix='.JPG')
    work = tmp_path / 'work'
    held_out = images_of_folds(lambda: config_of(folder_dataset(tmp_path), work), 2)
    assert sorted(map(len, held_out)) == [2, 3]
    lists = [
        (work / 'fold1' / f'split_{name}.txt').read_text().split() for name in ('train', 'val')
    ]
    assert sorted(sum(lists, [])) == ['a', 'b', 'sub/a', 'sub/b', 'sub/c']
    split = json.loads((work / 'fold1/split.json').read_text())
    assert split['val_ids'] == lists[1] and split['val_groups'] is None
    assert (split['splitter'], split['fold'], split['num_train']) == ('KFold', 1, len(lists[0]))


def test_a_list_is_the_pool_and_mmseg_s_own_data_set_works(tmp_path):
    for stem in 'abcdef':
        write_pair(tmp_path, stem)
    (tmp_path / 'some.txt').write_text('f\na\nc\nd\n')
    dataset = dict(
        type='BaseSegDataset', data_root=str(tmp_path), metainfo=TWO, img_suffix='.png',
        data_prefix=dict(img_path='img', seg_map_path='mask'), ann_file='some.txt')  # fmt: skip
    held_out = images_of_folds(lambda: config_of(dataset, tmp_path / 'work'), 4)
    assert sorted(Path(image).stem for [image] in held_out) == ['a', 'c', 'd', 'f']


def test_camvid_pools_train_and_val_of_different_folders(tmp_path):
    for part, stems in dict(train='abc', val='ad').items():  # the same name in both
        for stem in stems:
            write_pair(tmp_path, stem, image=f'img_dir/{part}', mask=f'ann_dir/{part}',
                       suffix='.jpg')  # fmt: skip
    dataset = dict(type='CamVidDataset', data_root=str(tmp_path))

    def prefix(part):
        return dict(data_prefix=dict(img_path=f'img_dir/{part}', seg_map_path=f'ann_dir/{part}'))

    def make():
        return config_of(
            dataset, tmp_path / 'work', train=prefix('train'), val=prefix('val'), test=prefix('val')
        )

    held_out = images_of_folds(make, 5, pool='train+val')
    names = sorted(Path(*Path(image).parts[-2:]).as_posix() for [image] in held_out)
    assert names == ['train/a.jpg', 'train/b.jpg', 'train/c.jpg', 'val/a.jpg', 'val/d.jpg']
    cfg = make()
    cfg.work_dir = str(tmp_path / 'train')
    use_fold(cfg, fold=0, num_folds=3)  # the training data alone: 3 images
    assert len(read(cfg, 'train')) + len(read(cfg, 'val')) == 3


def lists(root, **names):
    """A config whose data sets read these stems; ``left`` lies in the folder and in no list."""
    for stem in {*''.join(names.values()), 'left'}:
        write_pair(root, stem)
    for part, stems in names.items():
        (root / f'{part}.txt').write_text('\n'.join(stems) + '\n')
    parts = {part: dict(ann_file=f'{part}.txt') for part in names}
    return config_of(folder_dataset(root), root / 'work', **parts)


def test_the_config_may_name_the_pool(tmp_path):
    make = lambda: lists(tmp_path, train='abc', val='de', test='de')  # noqa: E731
    assert sorted(read_pool(make()).pairs) == list('abc')
    cfg = make()
    cfg.fold_pool = 'train+val'
    assert sorted(read_pool(cfg).pairs) == list('abcde')
    assert sorted(read_pool(cfg, pool='train').pairs) == list('abc')  # the command line wins
    use_fold(cfg, fold=0, num_folds=2)
    assert json.loads((tmp_path / 'work/fold0/split.json').read_text())['pool'] == 'train+val'
    assert cfg.test_evaluator.extra['pool'] == 'train+val'
    cfg = make()
    cfg.fold_pool = 'all'
    with pytest.raises(ValueError, match="fold_pool of the config must be 'train'"):
        read_pool(cfg)


def test_the_note_counts_each_image_once(tmp_path):
    cfg = lists(tmp_path, train='abc', val='cd', test='defg')
    assert read_pool(cfg).note == (
        'pool train: 3 images (train 3); 4 labelled images of the config left out '
        '(val 1, test 3), see --pool'
    )
    assert read_pool(cfg, pool='train+val').note == (
        'pool train+val: 4 images (train 3, val 1); 3 labelled images of the config left out '
        '(test 3), see --pool'
    )
    assert read_pool(cfg, pool='train+val+test').note == (
        'pool train+val+test: 7 images (train 3, val 1, test 3); no labelled images of the config '
        'left out'
    )
    cfg.test_dataloader.dataset.data_prefix = dict(img_path='img')  # without labels
    cfg.val_dataloader.dataset.ann_file = 'absent.txt'
    assert read_pool(cfg).note == (
        'pool train: 3 images (train 3); no labelled images of the config left out; '
        'val_dataloader could not be listed'
    )


def voc(root, **changes):
    return dict(
        dict(
            type='VOCDataset',
            data_root=str(root),
            ann_file='train.txt',
            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ),  # fmt: skip
        **changes,
    )


def test_voc_pools_two_lists_and_refuses_a_second_folder_of_masks(tmp_path):
    for stem in 'abcd':
        write_pair(tmp_path, stem, image='JPEGImages', mask='SegmentationClass', suffix='.jpg')
    write_pair(tmp_path, 'e', image='JPEGImages', mask='Aug', suffix='.jpg')
    for name, stems in dict(train='abc', val='cd', aug='e').items():
        (tmp_path / f'{name}.txt').write_text('\n'.join(stems) + '\n')
    lists = dict(val=dict(ann_file='val.txt'), test=dict(ann_file='val.txt'))
    base = voc(tmp_path)
    base.pop('ann_file')
    parts = dict(lists, train=dict(ann_file='train.txt'))
    held_out = images_of_folds(
        lambda: config_of(base, tmp_path / 'work', **parts), 2, pool='train+val'
    )
    assert sorted(Path(image).stem for image in sum(held_out, [])) == ['a', 'b', 'c', 'd']
    cfg = config_of(voc(tmp_path, extra_ann_file='aug.txt', extra_seg_map_path='Aug'),
                    tmp_path / 'other')  # fmt: skip
    with pytest.raises(ValueError, match='VOCDataset reads .* one folder of images'):
        use_fold(cfg, fold=0, num_folds=2)
    assert not (tmp_path / 'other').exists()  # nothing is left behind


def grouped(tmp_path, patients='ppqqrs'):
    for stem, patient in zip('abcdef', patients):
        write_pair(tmp_path, stem, bone=patient != 'q')
    lines = [f'{stem},{patient}\n' for stem, patient in zip('abcdef', patients)]
    (tmp_path / 'patients.csv').write_text(''.join(lines))
    return folder_dataset(tmp_path, group_file='patients.csv')


def test_patients_stay_together(tmp_path):
    dataset = grouped(tmp_path)
    held_out = images_of_folds(lambda: config_of(dataset, tmp_path / 'work'), 4)
    stems = sorted(''.join(sorted(Path(image).stem for image in val)) for val in held_out)
    assert stems == ['ab', 'cd', 'e', 'f']
    split = json.loads((tmp_path / 'work/fold0/split.json').read_text())
    patient = dict(zip('abcdef', 'ppqqrs'))
    assert split['val_groups'] == [patient[stem] for stem in split['val_ids']]
    assert split['splitter'] == 'GroupKFold'
    with pytest.raises(ValueError, match='4 groups cannot make 5 folds'):
        use_fold(config_of(dataset, tmp_path / 'more'), fold=0, num_folds=5)


def test_a_fold_of_two_data_sets_knows_its_patients(tmp_path):
    """Their files name images below other folders; a test took its dependent slices for units."""
    for number, stem in enumerate(['p/0', 'p/1', 'q/0', 'q/1.png', 'r/0', 'r/1']):
        part = 'val' if stem.startswith('r') else 'train'
        write_pair(tmp_path, f'{part}/{stem}')
        with (tmp_path / f'{part}.csv').open('a') as file:
            file.write('stem,patient\n' if number in (0, 4) else '')
            file.write(f'{stem}.png,{stem[0]}\n')
    parts = {part: dict(data_prefix=dict(img_path=f'img/{part}', seg_map_path=f'mask/{part}'),
                        group_file=f'{part}.csv') for part in ('train', 'val')}  # fmt: skip
    cfg = config_of(folder_dataset(tmp_path), tmp_path / 'work', **parts)
    use_fold(cfg, fold=0, num_folds=3, pool='train+val')
    init_default_scope('mmseg')
    tested = dict(cfg.test_dataloader.dataset, pipeline=[], serialize_data=False)
    dataset = DATASETS.build(tested)
    assert dataset.metainfo['group_unit'] == 'patient' and len(dataset) == 2
    infos = [dataset.get_data_info(index) for index in range(2)]
    assert {Path(info['img_path']).parent.name for info in infos} == {infos[0]['group']}
    split = json.loads((tmp_path / 'work/fold0/split.json').read_text())
    assert split['val_groups'] == [info['group'] for info in infos]


def test_stratified_by_foreground(tmp_path):
    for index, stem in enumerate('abcdefgh'):
        write_pair(tmp_path, stem, bone=index % 4 == 0)
    cfg = config_of(folder_dataset(tmp_path), tmp_path / 'work')
    assert read_pool(cfg, stratify=True).labels == {s: s in 'ae' for s in 'abcdefgh'}
    held_out = images_of_folds(
        lambda: config_of(folder_dataset(tmp_path), tmp_path / 'work'), 2, stratify=True
    )
    assert [sum(Path(image).stem in 'ae' for image in val) for val in held_out] == [1, 1]
    other = dict(classes=('sky', 'tree'), palette=TWO['palette'])
    cfg = config_of(folder_dataset(tmp_path, metainfo=other), tmp_path / 'sky')
    with pytest.raises(ValueError, match='leave --stratify out'):
        use_fold(cfg, fold=0, num_folds=2, stratify=True)


def test_the_lists_of_another_split_are_not_overwritten(tmp_path):
    for stem in 'abcdef':
        write_pair(tmp_path, stem)
    make = lambda: config_of(folder_dataset(tmp_path), tmp_path / 'work')  # noqa: E731
    for _ in range(2):  # the same again is fine
        use_fold(make(), fold=0, num_folds=3, split_seed=0)
    before = (tmp_path / 'work/fold0/split_val.txt').read_text()
    with pytest.raises(ValueError, match=r'split_\w+\.txt is the list of another split'):
        use_fold(make(), fold=0, num_folds=3, split_seed=1)
    assert (tmp_path / 'work/fold0/split_val.txt').read_text() == before


def test_facts_reach_the_results(tmp_path):
    for stem in 'ab':
        write_pair(tmp_path, stem)
    cfg = config_of(folder_dataset(tmp_path), tmp_path / 'work')
    cfg.test_evaluator = [dict(type='SegMetric', extra=dict(note='x')), dict(type='IoUMetric')]
    use_fold(cfg, fold=1, num_folds=2, split_seed=7)
    assert cfg.test_evaluator[0].extra == dict(
        note='x', fold=1, num_folds=2, split_seed=7, pool='train', splitter='KFold'
    )
    assert cfg.test_evaluator[1] == dict(type='IoUMetric')
    assert cfg.work_dir == str(tmp_path / 'work/fold1')


def test_mistakes(tmp_path):
    for stem in 'abc':
        write_pair(tmp_path, stem)
    make = lambda: config_of(folder_dataset(tmp_path), tmp_path / 'work')  # noqa: E731
    with pytest.raises(ValueError, match='fold 5 is out of range.*the folds 0 to 4'):
        use_fold(make(), fold=5, num_folds=5)
    with pytest.raises(ValueError, match='3 ids cannot make 4 folds'):
        use_fold(make(), fold=0, num_folds=4)
    with pytest.raises(ValueError, match=r"the pool must be 'train', .* or 'train\+val\+test'"):
        use_fold(make(), fold=0, num_folds=2, pool='all')
    for seed in (-1, 2**32):
        with pytest.raises(ValueError, match=f'--split-seed .* in 0..4294967295, got {seed}'):
            use_fold(make(), fold=0, num_folds=2, split_seed=seed)
    cfg = make()
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=cfg.train_dataloader.dataset
    )
    with pytest.raises(ValueError, match='is a RepeatDataset, which wraps'):
        use_fold(cfg, fold=0, num_folds=2)
    cfg = make()
    cfg.val_dataloader.dataset.label_map = {255: 1}
    with pytest.raises(ValueError, match='differ in label_map: pool train alone'):
        use_fold(cfg, fold=0, num_folds=2, pool='train+val')
    cfg = make()
    cfg.test_dataloader = None
    with pytest.raises(ValueError, match='lacks test_dataloader'):
        use_fold(cfg, fold=0, num_folds=2)
    assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize('arguments', [['--fold', '0'], ['--num-folds', '5']])
def test_the_two_numbers_belong_together(arguments):
    parser = argparse.ArgumentParser()
    add_fold_arguments(parser)
    with pytest.raises(ValueError, match='--fold 0 --num-folds 5'):
        use_fold_arguments(Config(), parser.parse_args(arguments))


@pytest.mark.parametrize('arguments', [
    ['--pool', 'train'], ['--split-seed', '0'], ['--stratify'],
    ['--pool', 'train', '--split-seed', '0', '--stratify'],
], ids=' '.join)  # fmt: skip
def test_settings_of_a_split_without_a_fold_are_refused(arguments):
    parser = argparse.ArgumentParser()
    add_fold_arguments(parser)
    with pytest.raises(ValueError, match='without --fold would change nothing') as error:
        use_fold_arguments(Config(), parser.parse_args(arguments))
    for name in ('--pool', '--split-seed', '--stratify'):
        assert (name in str(error.value)) == (name in arguments)


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_the_tools_refuse_a_pool_without_a_fold(tool, tiny_config, python_tool, tmp_path):
    work = tmp_path / 'work'
    done = python_tool(f'tools/{tool}.py', tiny_config, '--pool', 'train+val', '--work-dir', work,
                       check=False)  # fmt: skip
    assert done.returncode == 1 and not work.exists()
    assert done.stderr.startswith('error: --pool without --fold') and 'Trace' not in done.stderr


def test_without_the_arguments_nothing_changes(tmp_path):
    parser = argparse.ArgumentParser()
    add_fold_arguments(parser)
    cfg = config_of(folder_dataset(tmp_path), tmp_path / 'work')
    before = cfg.pretty_text
    use_fold_arguments(cfg, parser.parse_args([]))
    assert cfg.pretty_text == before and not (tmp_path / 'work').exists()
