"""A work folder belongs to one data set; and what the log says of images, iterations, classes."""

import hashlib

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from support.paths import ROOT

from mmseg_ext.apis.userdata import apply as user_dataset
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.apis.userdata.record import check_same_data, record_data


def _data_set(root, classes='[sky, tree]', stems='abcd', size=(48, 64)):
    for index, stem in enumerate(stems):
        part = 'val' if index == 0 else 'train'
        for kind, values in (('images', 256), ('masks', 2)):
            path = root / kind / part / f'{stem}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = (*size, 3) if kind == 'images' else size
            blocks = np.random.default_rng(index).integers(0, values, shape)
            array = np.kron(blocks[::8, ::8], np.ones((8, 8) + (1,) * (len(shape) - 2)))
            Image.fromarray(array.astype(np.uint8)).save(path)
    (root / 'my_data.yml').write_text(
        f'name: twin\nclasses: {classes}\ntrain: {{images: images/train, masks: masks/train}}\n'
        'val: {images: images/val, masks: masks/val}\n'
    )
    return root / 'my_data.yml'


def _run(work_dir, path):
    """A config on these data; its copy lies in the work folder from now on."""
    row = path.parent / 'row.py'
    row.write_text('')
    cfg = Config(dict(work_dir=str(work_dir)), filename=str(row))
    record_data(cfg, read_data_file(path))
    check_same_data(cfg)
    work_dir.mkdir(exist_ok=True)
    cfg.dump(str(work_dir / 'row.py'))


def test_two_data_sets_of_one_name_do_not_share_a_work_folder(tmp_path):
    first = _data_set(tmp_path / 'a')
    work = tmp_path / 'work'
    _run(work, first)
    first.write_text(first.read_text().replace('sky', 'cloud'))  # the same file, corrected
    _run(work, first)
    other = _data_set(tmp_path / 'b', classes='[bone, air]')
    with pytest.raises(
        ValueError, match=r'holds a run on .*a/my_data.yml, which is called twin, to'
    ):
        _run(work, other)
    images = _data_set(tmp_path / 'c', classes='[cloud, tree]', stems='wxyz')
    with pytest.raises(ValueError, match=r'has other images: give another name in .*c/my_data.yml'):
        _run(work, images)
    _run(work, _data_set(tmp_path / 'moved', classes='[cloud, tree]'))
    _run(tmp_path / 'elsewhere', other)


def test_the_values_of_the_masks_belong_to_a_data_set(tmp_path):
    """The same names and images in another folder, and two classes whose values are swapped."""
    work, swapped = tmp_path / 'work', '[{name: sky, value: 1}, {name: tree, value: 0}]'
    first = _data_set(tmp_path / 'a')
    _run(work, first)
    told = r'has other values in its masks: give another name in .*b/my_data.yml'
    with pytest.raises(ValueError, match=told):
        _run(work, _data_set(tmp_path / 'b', classes=swapped))
    _run(work, _data_set(tmp_path / 'moved'))
    known = work / 'row.py'
    record = Config.fromfile(known)
    del record.user_data['masks']  # an older version recorded none
    record.dump(str(known))
    _run(work, _data_set(tmp_path / 'b', classes=swapped))
    assert Config.fromfile(known).user_data.file.endswith('b/my_data.yml')


def test_the_images_of_the_training_are_recorded_by_themselves(tmp_path):
    def digests(stems) -> tuple:
        cfg = Config(dict(work_dir='none'))
        record_data(cfg, read_data_file(_data_set(tmp_path / stems, stems=stems)))
        return cfg.user_data.train_images, cfg.user_data.images

    train, both = digests('abcd')
    assert train == hashlib.sha256(b'b\nc\nd').hexdigest()
    assert both == hashlib.sha256(b'b\nc\nd\na').hexdigest()
    assert digests('zbcd')[0] == train and digests('zbcd')[1] != both


def test_the_log_says_what_happens_to_images_and_iterations(tmp_path, monkeypatch):
    path = _data_set(tmp_path / 'a', size=(400, 1200))
    cfg = Config.fromfile(ROOT / 'configs/mfp/mfp_mobilenetv2_vertebra.py')
    resize = dict(type='RandomResize', scale=(240, 180), ratio_range=(1, 1), keep_ratio=True)
    cfg.train_dataloader.dataset.pipeline.insert(2, resize)
    lines = []
    monkeypatch.setattr(user_dataset, 'print_log', lambda text, *args, **more: lines.append(text))
    user_dataset.apply_dataset(cfg, path, {'max_iters': 40})
    said = '\n'.join(lines)
    assert (
        'images of 400x1200 (median height x width), which the row shrinks to about 80x240' in said
    )
    assert 'iterations: 40, as --cfg-options says' in said and 'passes' not in said
    assert list(cfg.metainfo['classes']) == ['sky', 'tree'] and cfg.user_data.name == 'twin'
