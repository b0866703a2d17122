"""Images of two folders that share a file name keep apart in all that a test leaves."""

import csv
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS
from support.tiny import write_tiny_config, write_tiny_data

from mmseg_ext.apis.folds.tested import read_fold
from mmseg_ext.apis.pages.calibration import ensure_calibration
from mmseg_ext.apis.pages.report import write_report
from mmseg_ext.apis.pages.runs import read_run, replicas_of
from mmseg_ext.apis.pages.worst import ensure_worst, worst_images
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.apis.run.image_names import image_folders
from mmseg_ext.apis.run.options import use_drawing, use_output
from mmseg_ext.apis.run.testing import test as run_test

IDS = ['p1/s0', 'p1/s1', 'p2/s0', 'p2/s1', 's0']


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    """Five images in three folders; s0 is the name of three of them."""
    flat = write_tiny_data(tmp_path_factory.mktemp('flat') / 'data', count=5)
    data = tmp_path_factory.mktemp('folders') / 'data'
    for number, stem in enumerate(IDS):
        for part in ('img', 'mask'):
            place = data / part / f'{stem}.png'
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(flat / part / f'{number}.png', place)
    return write_tiny_config(data.parent / 'tiny.py', data)


@pytest.fixture(scope='module')
def run(config, tmp_path_factory, random_weights):
    folder = tmp_path_factory.mktemp('tested')
    cfg = load_config(config, work_dir=folder)
    use_output(cfg, folder / 'masks')
    use_drawing(cfg, show_dir=folder / 'drawn')
    run_test(cfg, random_weights(config, folder / 'iter_1.pth'))
    return folder


def _files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*.png'))


def test_records_name_the_path_below_the_image_folder(run):
    with np.load(run / 'per_image.npz') as file:
        assert file['names'].tolist() == [f'{name}.png' for name in IDS]
    with (run / 'images.csv').open() as file:
        assert [line['image'] for line in csv.DictReader(file)] == [f'{name}.png' for name in IDS]


def test_each_image_has_a_mask_and_a_drawing(run):
    assert _files(run / 'masks') == [f'{name}.png' for name in IDS]
    drawn = run / 'drawn' / 'vis_data' / 'vis_image'
    names = [name.rpartition('/') for name in IDS]
    assert _files(drawn) == [
        f'{folder}{slash}test_{name}.png_0.png' for folder, slash, name in names
    ]


def test_the_calibration_that_is_measured_later_has_these_names(run, tmp_path):
    later = shutil.copytree(run, tmp_path / 'later')
    assert ensure_calibration(later)
    assert read_run(later).counts.histograms is not None


def test_the_worst_images_are_predicted_and_shown(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / 'run')
    images = worst_images(read_run(folder), 5)
    found = ['/'.join(path.parts[-2:]).removeprefix('img/') for path in images]
    assert sorted(found) == [f'{name}.png' for name in IDS]
    assert ensure_worst(folder) == 5
    page = write_report([folder], tmp_path / 'page.html').read_text()
    assert page.count('p1/s0.png') >= 1 and 'shows them' not in page
    # a test of an older version, which kept file names only
    counts = dict(np.load(folder / 'per_image.npz'))
    counts['names'] = np.array([name.rpartition('/')[2] for name in counts['names']])
    np.savez(folder / 'per_image.npz', **counts)
    assert worst_images(read_run(folder), 5) == []
    shutil.rmtree(RunFolder(folder).worst)
    page = write_report([folder], tmp_path / 'old.html').read_text()
    assert 'this test kept no folders: test again' in page


def test_runs_on_images_of_other_folders_are_folds_not_seeds():
    def one(*names):
        return SimpleNamespace(
            counts=SimpleNamespace(names=np.array(names), rows=np.zeros((2, 3, 3))), folder='f'
        )

    first, second = one('p1/s0.png', 'p1/s1.png'), one('p2/s0.png', 'p2/s1.png')
    (replica,), note = replicas_of([first, second], 'a row')
    assert replica == [first, second] and note == ''


@pytest.mark.parametrize('older', [False, True])
def test_a_fold_knows_its_images_by_both_names(run, tmp_path, older):
    folder = shutil.copytree(run, tmp_path / 'fold0')
    split = dict(
        fold=0, num_folds=2, split_seed=0, pool='train', splitter='groups', train_ids=['a'],
        val_ids=IDS, train_groups=None, val_groups=None,
    )  # fmt: skip
    (folder / 'split.json').write_text(json.dumps(split))
    if older:
        counts = dict(np.load(folder / 'per_image.npz'))
        counts['names'] = np.array([name.rpartition('/')[2] for name in counts['names']])
        np.savez(folder / 'per_image.npz', **counts)
    assert read_fold(RunFolder(folder)).split.val_ids == IDS
    split['val_ids'] = ['p3/s0', *IDS[1:]]
    (folder / 'split.json').write_text(json.dumps(split))
    if not older:
        with pytest.raises(ValueError, match='is of other images than the fold'):
            read_fold(RunFolder(folder))


def test_folders_of_data_sets_in_data_sets(config):
    cfg = Config.fromfile(config)
    one = cfg.test_dataloader.dataset
    other = dict(one, data_prefix=dict(img_path='mask', seg_map_path='mask'))
    joined = dict(
        type='ConcatDataset', datasets=[one, dict(type='RepeatDataset', dataset=other, times=2)]
    )
    root = one.data_root
    assert image_folders(DATASETS.build(joined)) == (f'{root}/img', f'{root}/mask')
