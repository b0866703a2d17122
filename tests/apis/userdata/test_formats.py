"""tools/dataset.py init on data sets that the tools of their formats wrote, to the pixel.

``support/formats/make.py`` made them, each of the scenes of ``support/formats/scene.py``.
"""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from support.formats.scene import COLORS, NAMES, NUMBER, scene

from mmseg_ext.apis.userdata.find.cityscapes import LABELS
from mmseg_ext.apis.userdata.init import init_data_file
from mmseg_ext.apis.userdata.pairing import pair_files
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.apis.userdata.scan import read_as_trained
from mmseg_ext.core.reading import read_image
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


def test_roboflows_masks_have_their_names_in_a_table(tmp_path):
    """``a.rf.CODE.jpg`` beside ``a.rf.CODE_mask.png`` in each split, and ``_classes.csv``."""
    root = tmp_path / 'roboflow'
    for index in range(NUMBER):
        folder = root / ('valid' if index == NUMBER - 1 else 'train')
        folder.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(index).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(noise).save(folder / f'img{index}_jpg.rf.0a1b2c.jpg')
        Image.fromarray(scene(index)).save(folder / f'img{index}_jpg.rf.0a1b2c_mask.png')
        lines = [f'{value}, {name}' for value, name in enumerate(NAMES)]
        (folder / '_classes.csv').write_text('\n'.join(['Pixel Value, Class', *lines]))
    data, notes = init(root)
    assert data.classes == tuple(NAMES) and list(assert_scenes(data)['val']) == [NUMBER - 1]
    assert any(note.startswith('names from train/_classes.csv') for note in notes)


# ------------------------------------------------------------- files that are joined first


def test_channels_in_several_files_are_joined_in_their_order(tmp_path):
    root = unpacked('nnunet', tmp_path)
    data, notes = init(root)
    assert_scenes(data)
    assert data.classes == tuple(NAMES) and data.image_channels == 2
    assert data.image_max_value is None
    assert 'the 2 channels of each image are joined from 2 files' in notes
    pairs = [pair for part in ('train', 'val') for pair in pair_files(data, part).pairs]
    assert len(pairs) == NUMBER
    for pair in pairs:
        joined = read_image(pair.image)
        for channel in range(2):
            own = np.array(Image.open(root / f'imagesTr/{pair.stem}_{channel:04d}.png'))
            assert (joined[..., channel] == own).all()
    again, _ = init(root, force=True)
    assert_scenes(again)


def test_joined_channels_of_12_bits_say_what_white_is(tmp_path):
    root = unpacked('nnunet', tmp_path)
    for path in (root / 'imagesTr').iterdir():
        deep = np.array(Image.open(path)).astype(np.uint16) * 16
        Image.fromarray(deep).save(path)
    data, _ = init(root)
    assert data.image_max_value == 4095


def test_a_channel_that_is_not_there_or_does_not_fit_is_named_and_nothing_is_left(tmp_path):
    root = unpacked('nnunet', tmp_path)
    first = root / 'imagesTr/img2_0001.png'
    kept = first.read_bytes()
    Image.new('L', (5, 5)).save(first)
    with pytest.raises(ValueError, match='img2_0001.png: .*must be alike'):
        init(root)
    first.unlink()
    with pytest.raises(ValueError, match='img2_0001: no such channel'):
        init(root)
    assert [path.name for path in tmp_path.iterdir()] == ['nnunet']
    first.write_bytes(kept)
    (tmp_path / 'my_data_images').mkdir()
    with pytest.raises(FileExistsError, match='my_data_images is there already'):
        init(root)


def test_numbered_frames_are_not_channels(tmp_path):
    root = tmp_path / 'video'
    for kind in ('images', 'masks'):
        (root / kind).mkdir(parents=True)
    for index in range(4):
        Image.fromarray(scene(index)).save(root / f'masks/walk_{index:04d}.png')
        noise = np.random.default_rng(index).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(noise).save(root / f'images/walk_{index:04d}.png')
    data, _ = init(root)
    assert data.image_channels is None and len(pair_files(data, 'train').pairs) == 3


def _object_masks(root, place, *, named):
    """A file for each object, as the 2018 Data Science Bowl has them, or below masks/STEM."""
    for index in range(NUMBER):
        case, images = (f'img{index}/masks', f'img{index}/images') if place == 'cases' else (
            f'masks/img{index}', 'images'
        )  # fmt: skip
        for folder in (case, images):
            (root / folder).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(index).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(noise).save(root / images / f'img{index}.png')
        for number, label in enumerate((1, 2, 3)):
            name = f'{NAMES[label]}_{number}' if named else f'{number}' * 16
            mask = (scene(index) == label) * np.uint8(255)
            Image.fromarray(mask).save(root / case / f'{name}.png')


@pytest.mark.parametrize('place', ['cases', 'below'])
def test_one_mask_file_per_object(place, tmp_path):
    root = tmp_path / 'cells'
    _object_masks(root, place, named=True)
    data, notes = init(root)
    assert_scenes(data)
    assert any(note.startswith('12 masks are objects of 4 images') for note in notes)
    shutil.rmtree(root)
    _object_masks(root, place, named=False)
    data, _ = init(root, force=True)
    assert data.classes == ('background', 'object')
    for labels in loaded(data).values():
        assert labels and all((m == (scene(i) > 0)).all() for i, m in labels.items())


def test_masks_of_objects_that_are_none_are_named(tmp_path):
    root = tmp_path / 'cells'
    _object_masks(root, 'cases', named=True)
    path = root / 'img1/masks/car_1.png'
    Image.fromarray(scene(1)).save(path)
    with pytest.raises(ValueError, match='car_1.png: the mask of an object is 0'):
        init(root)
    assert [path.name for path in tmp_path.iterdir()] == ['cells']


def _pages(root, labels):
    for kind in ('images', 'masks'):
        (root / kind).mkdir(parents=True, exist_ok=True)
    for index in range(NUMBER):
        noise = np.random.default_rng(index).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(noise).save(root / f'images/img{index}.png')
        pages = [(scene(index) == NAMES.index(name)) * np.uint8(255) for name in labels]
        tifffile.imwrite(root / f'masks/img{index}.tif', np.stack(pages), photometric='minisblack')


def test_pages_of_a_tiff_are_classes(tmp_path):
    root = tmp_path / 'stack'
    _pages(root, NAMES)
    with pytest.raises(ValueError, match='the mask has 4 pages'):
        init(root)
    data, notes = init(root, pages='classes', classes=NAMES)
    assert_scenes(data)
    assert data.classes == tuple(NAMES)
    _pages(root, NAMES[1:])  # what is in no page is background
    data, notes = init(root, pages='classes', force=True)
    assert data.classes == ('background', 'page_1', 'page_2', 'page_3')
    assert 'pixels of no page are background' in notes
    for labels in loaded(data).values():
        assert labels and all((m == scene(i)).all() for i, m in labels.items())
    (root / 'classes.json').write_text(json.dumps(NAMES))
    data, _ = init(root, pages='classes', force=True)
    assert data.classes == tuple(NAMES)


def test_pages_that_are_no_classes_are_refused(tmp_path):
    root = tmp_path / 'stack'
    _pages(root, NAMES[1:])
    tifffile.imwrite(root / 'masks/img2.tif', np.stack([scene(2)] * 3), photometric='minisblack')
    with pytest.raises(ValueError, match='img2.tif: a page holds the values'):
        init(root, pages='classes')
    tifffile.imwrite(root / 'masks/img2.tif', scene(2)[None].repeat(2, 0) * 0)
    with pytest.raises(ValueError, match=r'img\d.tif: [23] pages, and .*img\d.tif has [23]'):
        init(root, pages='classes')
    assert [path.name for path in tmp_path.iterdir()] == ['stack']


@pytest.mark.parametrize(
    'content',
    [
        NAMES,
        {name: index for index, name in enumerate(NAMES)},
        {str(index): name for index, name in enumerate(NAMES)},
        [dict(name=name, color=list(color)) for name, color in zip(NAMES, COLORS)],
        dict(classes=[dict(title=name, id=index) for index, name in enumerate(NAMES)]),
    ],
)
def test_names_in_classes_json(content, tmp_path):
    root = tmp_path / 'set'
    for kind in ('images', 'masks'):
        (root / kind).mkdir(parents=True)
    for index in range(NUMBER):
        Image.fromarray(scene(index)).save(root / f'masks/img{index}.gif')
        noise = np.random.default_rng(index).integers(0, 256, (24, 32), np.uint8)
        Image.fromarray(noise).save(root / f'images/img{index}.gif')
    (root / 'classes.json').write_text(json.dumps(content))
    data, _ = init(root)
    assert data.classes == tuple(NAMES)
    assert_scenes(data)


# ------------------------------------------------------------------- channels and depth


@pytest.mark.parametrize(
    'channels, largest, expected',
    [
        (5, 255, (5, None)),
        (4, 4000, (4, 4095)),
        (3, 900, (None, 1023)),
        (1, 16000, (None, 16383)),
        (2, 60000, (2, 65535)),
        (3, 255, (None, None)),
    ],
)
def test_channels_and_white_of_images_are_written_to_the_file(
    channels, largest, expected, tmp_path
):
    root = tmp_path / 'deep'
    for kind in ('images', 'masks'):
        (root / kind).mkdir(parents=True)
    for index in range(NUMBER):
        Image.fromarray(scene(index)).save(root / f'masks/img{index}.png')
        kind = np.uint8 if largest < 256 else np.uint16
        pixels = np.random.default_rng(index).integers(0, largest, (24, 32, channels), kind)
        pixels[0, 0] = largest
        tifffile.imwrite(
            root / f'images/img{index}.tif', pixels[..., 0] if channels == 1 else pixels,
            photometric='rgb' if channels == 3 else 'minisblack',
            planarconfig=None if channels == 1 else 'contig',
        )  # fmt: skip
    data, notes = init(root)
    assert (data.image_channels, data.image_max_value) == expected
    assert sum('image_channels' in note for note in notes) == (expected[0] is not None)
    assert sum('image_max_value' in note for note in notes) == (expected[1] is not None)
    image = read_as_trained(data, pair_files(data, 'train').pairs[0].image).pixels
    assert image.shape[2] == (expected[0] or 3)
    white = expected[1] or 255
    assert image.max() == pytest.approx(largest * 255 / white, rel=1e-5)


def test_an_alpha_channel_is_no_channel_of_the_image(tmp_path):
    root = tmp_path / 'alpha'
    for kind in ('images', 'masks'):
        (root / kind).mkdir(parents=True)
    for index in range(NUMBER):
        Image.fromarray(scene(index)).save(root / f'masks/img{index}.png')
        pixels = np.random.default_rng(index).integers(0, 256, (24, 32, 4), np.uint8)
        Image.fromarray(pixels).save(root / f'images/img{index}.png')
    assert init(root)[0].image_channels is None
