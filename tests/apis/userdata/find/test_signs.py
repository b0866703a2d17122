"""Masks and images that are not what they seem to be: each kind made here, its count by hand."""

import re

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

import mmseg_ext  # noqa: F401
from mmseg_ext.apis.userdata.checks.check import check_data
from mmseg_ext.apis.userdata.data import read_user_data
from mmseg_ext.apis.userdata.find.signs import (
    images_are_masks,
    instance_numbers,
    interpolated,
    is_same_picture,
    lossy,
    mask_facts,
    mask_signs,
    palette_beside_colors,
    palettes_disagree,
    shown_forms,
)
from mmseg_ext.apis.userdata.read import read_data_file

SIZE = (60, 80)
RED, GREEN, BLUE = (200, 10, 0), (0, 180, 20), (30, 0, 220)


def _blobs(seed, count=3, size=SIZE):
    """Ids 0 to ``count``, one ellipse each on 0, none hidden."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(size, np.uint8)
    width = size[1] // count
    for index in range(count):
        center = (index * width + width // 2, int(rng.integers(20, size[0] - 20)))
        axes = (max(2, width // 2 - 3), int(rng.integers(8, 16)))
        cv2.ellipse(mask, center, axes, 0, 0, 360, index + 1, -1)
    return mask


def _save(path, array, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.ascontiguousarray(array, np.uint8))
    if palette is not None:
        image.putpalette([value for color in palette for value in color])
    image.save(path)
    return str(path)


def _photo(seed, size=SIZE):
    rng = np.random.default_rng(seed + 1000)
    return rng.integers(0, 256, (*size, 3), dtype=np.uint8)


def _data(folder, masks, classes='[a, b, c, d]', images=None, more='', **options):
    """A data set of these masks, and of photographs if no images are given."""
    for index, mask in enumerate(masks):
        own = options.get('palettes', {}).get(index)
        _save(folder / f'masks/{index:02d}.png', mask, own)
        image = _photo(index, mask.shape[:2]) if images is None else images[index]
        suffix = options.get('suffix', '.png')
        _save(folder / f'images/{index:02d}{suffix}', image)
    split = '{images: images, masks: masks}'
    text = f'classes: {classes}\n{more}\ntrain: {split}\nval: {split}\n'
    (folder / 'd.yml').write_text(text)
    return folder / 'd.yml'


def _facts(folder, **options):
    return [mask_facts(str(path), **options) for path in sorted((folder / 'masks').iterdir())]


def _found(path, kind):
    """The text of a sign: in check's errors, and, the same, in what stops a training."""
    [text] = check_data(path).errors[kind]
    with pytest.raises(ValueError, match=re.escape(kind)) as error:
        read_user_data(path)
    assert '\n' not in str(error.value) and str(path) in str(error.value)
    return text


def test_ordinary_masks_give_no_sign(tmp_path):
    path = _data(tmp_path, [_blobs(seed) for seed in range(6)])
    assert mask_signs(_facts(tmp_path)) == []
    assert {k for k in check_data(path).errors if 'split' not in k} == set()
    assert read_user_data(path).num_train == 6


@pytest.mark.parametrize('count', [2, 5, 21, 150])
def test_noise_and_many_classes_give_no_sign(tmp_path, count):
    rng = np.random.default_rng(0)
    for index in range(5):
        _save(tmp_path / f'masks/{index}.png', rng.integers(0, count, SIZE))
    assert mask_signs(_facts(tmp_path)) == []


def test_thin_lines_between_classes_are_classes(tmp_path):
    for index in range(4):
        mask = _blobs(index)
        edges = cv2.morphologyEx((mask > 0).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3)))
        mask[edges > 0] = 4  # a border of each object, as a class of its own
        _save(tmp_path / f'masks/{index}.png', mask)
    assert mask_signs(_facts(tmp_path)) == []


# ----------------------------------------------------------------------------- palettes


def test_palettes_that_number_colors_differently(tmp_path):
    masks = [np.minimum(_blobs(seed, 2), 2) for seed in range(5)]
    order = {0: ((0, 0, 0), RED, GREEN), 1: ((0, 0, 0), GREEN, RED)}
    palettes = {index: order[index in (1, 4)] for index in range(5)}
    path = _data(tmp_path, masks, '[a, b, c]', palettes=palettes)
    text = _found(path, 'palettes that disagree')
    assert f'is the color {list(RED)} in 3 masks and {list(GREEN)} in 2, of 5 masks' in text
    assert 'masks: colors' in text


def test_palettes_are_read_by_their_colors(tmp_path):
    """With masks: colors the same files train, and red is one class whatever its number."""
    masks = [np.minimum(_blobs(seed, 2), 2) for seed in range(4)]
    order = {0: ((0, 0, 0), RED, GREEN), 1: ((0, 0, 0), GREEN, RED)}
    palettes = {index: order[index % 2] for index in range(4)}
    _data(tmp_path, masks, palettes=palettes)
    colors = np.array([(0, 0, 0), RED, GREEN], np.uint8)[masks[3]]
    _save(tmp_path / 'masks/03.png', colors)  # RGB beside palettes
    classes = ', '.join(
        f'{{name: {name}, color: {list(color)}}}'
        for name, color in zip('abc', ((0, 0, 0), RED, GREEN))
    )
    path = tmp_path / 'd.yml'
    split = '{images: images, masks: masks}'
    path.write_text(f'masks: colors\nclasses: [{classes}]\ntrain: {split}\nval: {split}\n')
    report = check_data(path)
    assert {kind for kind in report.errors if 'two splits' not in kind} == set()
    init_default_scope('mmseg')
    load = [dict(type='LoadImageFromFile'), dict(type='LoadLabels')]
    data = DATASETS.build(read_data_file(path).dataset_config('train', load))
    swapped = np.array([0, 2, 1])
    for index, mask in enumerate(masks):
        expected = swapped[mask] if index == 1 else mask
        np.testing.assert_array_equal(data[index]['gt_seg_map'], expected)
    counted = sum(np.bincount((swapped[m] if i == 1 else m).ravel()) for i, m in enumerate(masks))
    assert report.pixels('train')[:3].tolist() == counted.tolist()


def test_palette_beside_colors(tmp_path):
    palette = ((0, 0, 0), RED, GREEN, BLUE)
    for index in range(6):
        mask = _blobs(index)
        if index < 4:
            _save(tmp_path / f'masks/{index}.png', mask, palette)
        else:
            _save(tmp_path / f'masks/{index}.png', np.array(palette, np.uint8)[mask])
    sign = palette_beside_colors(_facts(tmp_path))
    assert sign.text.startswith('4 of 6 masks have a palette') and '2 hold colors' in sign.text
    assert palette_beside_colors(_facts(tmp_path, colors=True)) is None
    assert palettes_disagree(_facts(tmp_path)) is None


# ------------------------------------------------------------------------ interpolation


@pytest.mark.parametrize('method', [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA])
@pytest.mark.parametrize('colored', [False, True])
def test_interpolated_masks(tmp_path, method, colored):
    table = np.array([(0, 0, 0), RED, GREEN, BLUE], np.uint8) if colored else (
        np.array([0, 90, 180, 250], np.uint8)
    )  # fmt: skip
    size = (37, 50) if method == cv2.INTER_AREA else (131, 173)
    off = 0
    masks = []
    for seed in range(5):
        mask = cv2.resize(table[_blobs(seed)], size[::-1], interpolation=method)
        masks.append(mask)
        known = (mask.reshape(-1, 1, 3 if colored else 1) == table.reshape(1, 4, -1)).all(2).any(1)
        off += int((~known).sum())
        _save(tmp_path / f'masks/{seed}.png', mask)
    sign = interpolated(_facts(tmp_path))
    found = {v for m in masks for v in map(tuple, m.reshape(-1, 3 if colored else 1).tolist())}
    number = int(re.match(r'(\d+) of (\d+)', sign.text)[1])
    assert 0.95 * len(found) < int(re.match(r'\d+ of (\d+)', sign.text)[1]) <= len(found)
    share = float(re.search(r'([\d.]+) % of the pixels', sign.text)[1])
    assert number > 0.7 * (len(found) - 4)
    assert abs(share - 100 * off / sum(m[..., 0].size if colored else m.size for m in masks)) < 2
    assert 'nearest-neighbour' in sign.text and 'in 5 of 5 masks' in sign.text


def test_interpolated_masks_stop_a_training(tmp_path):
    masks = [cv2.resize(_blobs(s) * 60, (150, 110), interpolation=cv2.INTER_LINEAR) for s in (1, 2)]
    values = sorted(set(np.unique(masks)))
    classes = ', '.join(f'{{name: v{value}, value: {value}}}' for value in values)
    text = _found(_data(tmp_path, masks, f'[{classes}]'), 'masks scaled with interpolation')
    assert f'of {len(values)} values' in text
    few = '[{name: a, value: 0}, {name: b, value: 60}, {name: c, value: 120}]'
    (tmp_path / 'd.yml').write_text((tmp_path / 'd.yml').read_text().replace(f'[{classes}]', few))
    with pytest.raises(ValueError, match='scaled with interpolation'):
        read_user_data(tmp_path / 'd.yml')  # which says more than that values are unknown


def test_a_threshold_makes_greys_no_matter(tmp_path):
    masks = [cv2.GaussianBlur((_blobs(s) > 0) * np.uint8(255), (5, 5), 0) for s in range(3)]
    path = _data(tmp_path, masks, '[a, b]', more='mask_threshold: 128')
    assert read_user_data(path).num_train == 3


# ---------------------------------------------------------------------------- instances


def test_instance_numbers(tmp_path):
    masks = []
    for seed, count in enumerate((9, 14, 11, 20)):
        mask = _blobs(seed, count, (60, 200))
        masks.append(mask)
    number = int(max(mask.max() for mask in masks))
    path = _data(tmp_path, masks, str([f'c{i}' for i in range(number + 1)]).replace("'", ''))
    text = _found(path, 'masks of instance numbers')
    few = sum(sum((m == v).any() for m in masks) <= 2 for v in range(1, number + 1))
    assert text.startswith(f'{number} values besides 0, {few} of them in one or two of 4 masks')


def test_one_mask_of_instance_numbers(tmp_path):
    _save(tmp_path / 'masks/a.png', _blobs(0, 30, (60, 400)))
    assert instance_numbers(_facts(tmp_path)).text.startswith('30 values besides 0, 30 of them')


@pytest.mark.parametrize('number', [1, 2])
def test_layers_of_a_small_split_are_no_instances(tmp_path, number):
    """Each value in one piece, and in all masks, of which there are one or two."""
    for index in range(number):
        _save(tmp_path / f'masks/{index}.png', np.repeat(np.arange(12), 5)[:, None].repeat(30, 1))
    assert instance_numbers(_facts(tmp_path)) is None


def test_a_few_images_of_many_classes_are_no_instances(tmp_path):
    """Each class in one image, in one piece."""
    for index in range(10):
        mask = np.zeros(SIZE, np.uint8)
        mask[10:30, 10:40], mask[35:50, 40:70] = 2 * index + 1, 2 * index + 2
        _save(tmp_path / f'masks/{index}.png', mask)
    assert instance_numbers(_facts(tmp_path)) is None


def test_numbers_that_run_through_a_whole_data_set(tmp_path):
    """A few objects in each mask, no number twice."""
    for index in range(30):
        mask = np.zeros(SIZE, np.uint16)
        mask[10:30, 10:40], mask[35:50, 40:70] = 2 * index + 1, 2 * index + 2
        mask[50:58, 2:9] = 100 + index
        (tmp_path / 'masks').mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f'masks/{index}.png'), mask)
    sign = instance_numbers(_facts(tmp_path))
    assert sign.text.startswith('90 values besides 0, 90 of them in one or two of 30 masks')


def test_many_classes_of_few_pieces_are_no_instances(tmp_path):
    """Organs: each in one piece, each in most images."""
    for seed in range(6):
        _save(tmp_path / f'masks/{seed}.png', _blobs(seed, 13, (60, 200)))
    assert instance_numbers(_facts(tmp_path)) is None


# ------------------------------------------------------------------------------- images


@pytest.mark.parametrize('kind', ['ids', 'shown', 'inverted', 'palette', 'jpeg', 'colors'])
def test_images_that_are_the_masks(tmp_path, kind):
    masks = [_blobs(seed, 2) for seed in range(5)]
    palette = ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    shown = [np.round(mask * 127.5) for mask in masks]
    images = {
        'ids': masks, 'shown': shown, 'jpeg': shown, 'inverted': [255 - s for s in shown],
        'palette': [np.array(palette, np.uint8)[m] for m in masks],
        'colors': [np.array(palette, np.uint8)[m] for m in masks],
    }[kind]  # fmt: skip
    suffix = '.jpg' if kind == 'jpeg' else '.png'
    palettes = dict.fromkeys(range(5), palette) if kind == 'palette' else {}
    masks_as_stored = images if kind == 'colors' else masks
    classes = ', '.join(
        f'{{name: {name}, color: {list(color)}}}' for name, color in zip('abc', palette)
    )
    path = _data(
        tmp_path, masks_as_stored, f'[{classes}]', images=images, suffix=suffix,
        palettes=palettes, more='masks: colors' if kind == 'colors' else '',
    )  # fmt: skip
    text = _found(path, 'images that are the masks')
    assert text.startswith('image and mask are the same picture in 5 of 5 pairs')


@pytest.mark.parametrize('factor, offset', [(30, 0), (-20, 90)])
def test_images_that_are_scaled_masks(factor, offset):
    for seed in range(3):
        mask = _blobs(seed, 3)
        image = (mask[..., None].repeat(3, 2).astype(int) * factor + offset).astype(np.uint8)
        assert is_same_picture(image, shown_forms(mask))
        noise = np.random.default_rng(seed).integers(0, 40, image.shape)
        assert not is_same_picture((image // 2 + noise).astype(np.uint8), shown_forms(mask))


def test_masks_of_jpeg_are_warned_of(tmp_path):
    path = _save(tmp_path / 'masks/a.jpg', _blobs(0) * 60)
    sign = lossy([mask_facts(path)])
    assert sign.text.startswith('1 of 1 masks are JPEG') and not sign.wrong


def test_photographs_of_bright_objects_are_no_masks():
    """Also where a threshold on the image gives the mask to the pixel."""
    for seed in range(4):
        mask = (_blobs(seed) > 0).astype(np.uint8)
        light = np.random.default_rng(seed).integers(0, 110, (*SIZE, 3))
        image = (light + mask[..., None] * 140).astype(np.uint8)
        assert not is_same_picture(image, shown_forms(mask))
        assert not is_same_picture(image, shown_forms(mask * 255))
    assert images_are_masks([False] * 9 + [True]) is None
    assert '6 of 10' in images_are_masks([True] * 6 + [False] * 4).text


def test_a_data_set_of_a_config_stops_as_well(tmp_path):
    for index in range(4):
        palette = ((0, 0, 0), RED, GREEN, BLUE) if index % 2 else ((0, 0, 0), BLUE, GREEN, RED)
        _save(tmp_path / f'masks/{index}.png', _blobs(index), palette)
        _save(tmp_path / f'images/{index}.png', _photo(index))
    init_default_scope('mmseg')
    with pytest.raises(ValueError, match=r'masks, palettes that disagree: the value 1 .* in 2 mas'):
        DATASETS.build(
            dict(
                type='FolderDataset',
                data_root=str(tmp_path),
                data_prefix=dict(img_path='images', seg_map_path='masks'),
                metainfo=dict(classes=('a', 'b', 'c', 'd')),
            )
        )
