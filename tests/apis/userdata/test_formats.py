"""tools/dataset.py init on data sets that the tools of their formats wrote, to the pixel.

``support/formats/make.py`` made them, each of the scenes of ``support/formats/scene.py``.
"""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.formats.scene import COLORS, NAMES, NUMBER, scene

from mmseg_ext.apis.userdata.find.cityscapes import LABELS
from mmseg_ext.apis.userdata.init import init_data_file
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.datasets.folder import FolderDataset
from mmseg_ext.datasets.loading import LoadLabels

FORMATS = Path(__file__).parents[2] / 'support/formats'


def unpacked(name, folder):
    shutil.unpack_archive(FORMATS / f'{name}.zip', folder)
    return folder / name


def init(root, **options):
    """The file that init writes, and its notes."""
    out = root.parent / 'my_data.yml'
    notes = init_data_file(root, out, **options)
    return read_data_file(out), notes


def loaded(data):
    """The labels of each split as training loads them: the number in a name -> labels."""
    found = {}
    for part in data.parts:
        config = data.dataset_config(part)
        samples = FolderDataset(
            **{k: v for k, v in config.items() if k not in ('type', 'pipeline')}
        ).load_data_list()
        found[part] = {}
        for sample in samples:
            stem = Path(sample['img_path']).stem.replace('ulm_00000', 'img')
            number = int(stem[3])
            found[part][number] = LoadLabels()(dict(sample))['gt_seg_map']
    return found


def assert_scenes(data, *, void=()):
    """All labels are those of the scenes, but classes in ``void``, which are ignored."""
    parts = loaded(data)
    labels = {**parts['train'], **parts['val']}
    assert sorted(labels) == list(range(NUMBER)) and len(parts['val']) == 1
    ids = [data.ignore_index if n in void else data.classes.index(n) for n in NAMES]
    for number, mask in labels.items():
        assert (mask == np.array(ids)[scene(number)]).all()
    return parts


@pytest.mark.parametrize('name', ['coco', 'cvat', 'labelme', 'voc'])
def test_scenes_are_read_to_the_pixel(name, tmp_path):
    data, _ = init(unpacked(name, tmp_path))
    parts = assert_scenes(data)
    assert set(data.classes) == set(NAMES) and data.name == name
    if name != 'labelme':  # which knows no splits
        assert list(parts['val']) == [NUMBER - 1]
    if name == 'voc':
        assert data.color_masks and data.palette == tuple(COLORS)


ENDS = ['labelIds', 'labelTrainIds', 'color']


@pytest.mark.parametrize('end', ENDS)
def test_cityscapes_masks_of_each_kind(end, tmp_path):
    root = unpacked('cityscapes', tmp_path)
    others = [p for e in ENDS if e != end for p in root.rglob(f'*_{e}.png')]
    assert len(others) == 2 * NUMBER
    for path in others:
        path.unlink()
    data, notes = init(root)
    assert_scenes(data, void=['background'])
    assert data.classes == tuple(label.name for label in LABELS) and len(data.classes) == 19
    assert data.palette[data.classes.index('car')] == (0, 0, 142)
    assert data.color_masks == (end == 'color')
    assert any('those of Cityscapes' in note for note in notes)


def test_cityscapes_prefers_training_ids_and_leaves_a_test_split_without_labels_out(tmp_path):
    root = unpacked('cityscapes', tmp_path)
    for kind in ('gtFine', 'leftImg8bit'):
        shutil.copytree(root / kind / 'val', root / kind / 'test')
    for path in (root / 'gtFine/test').rglob('*.png'):
        path.write_bytes(_void())
    data, notes = init(root)
    assert_scenes(data, void=['background'])
    assert data.mask_suffix == ('_gtfine_labeltrainids.png',)
    assert 'test' not in data.parts
    assert 'gtFine/test: no mask holds a class: left out, and val is tested' in notes


def _void():
    stream = io.BytesIO()
    Image.fromarray(np.full((24, 32), 255, np.uint8)).save(stream, 'png')
    return stream.getvalue()


def test_own_ids_in_cityscapes_layout_keep_their_own_names(tmp_path):
    root = unpacked('cityscapes', tmp_path)
    (root / 'classes.txt').write_text('\n'.join(f'{i} kind{i}' for i in (10, 0, 13)))
    data, _ = init(root)
    assert data.classes == ('kind0', 'kind10', 'kind13')


def test_greys_that_a_list_names_as_colors_are_colors(tmp_path):
    """In VOC's colors a car is (128, 128, 128); masks of cars alone are then grey."""
    root = tmp_path / 'set'
    for kind in ('images', 'masks'):
        (root / kind).mkdir(parents=True)
    for index in range(4):
        mask = np.repeat((scene(index) == 2)[..., None] * np.uint8(128), 3, axis=2)
        Image.fromarray(mask).save(root / f'masks/img{index}.png')
        noise = np.random.default_rng(index).integers(0, 256, mask.shape, np.uint8)
        Image.fromarray(noise).save(root / f'images/img{index}.png')
    lines = ['background:0,0,0::', 'aeroplane:128,0,0::', 'car:128,128,128::']
    (root / 'labelmap.txt').write_text('\n'.join(lines))
    data, _ = init(root)
    assert data.color_masks and data.classes == ('background', 'aeroplane', 'car')
    for labels in loaded(data).values():
        assert labels and all((m == 2 * (scene(i) == 2)).all() for i, m in labels.items())
