"""Masks of two levels and of JPEG: the classes that were drawn, or a refusal, never others."""

import io
from collections import Counter

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_ext.apis.userdata.find.classes import find_classes
from mmseg_ext.apis.userdata.find.levels import blocks_of

SIZES = dict(large=(20, 60), small=(5, 14))
QUALITIES = (75, 85, 90, 95, 98, 100)


def _discs(seed, sizes, inks, shape=(90, 123)):
    """Discs of every ink after the first, which is the background."""
    random = np.random.default_rng(seed)
    mask = np.full(shape, inks[0], np.uint8)
    for number in range(12):
        size = random.integers(*sizes)
        center = tuple(int(random.integers(0, n)) for n in (shape[1], shape[0]))
        cv2.circle(mask, center, int(size) // 2, int(inks[1 + number % (len(inks) - 1)]), -1)
    return mask


def _lines(seed, shape=(90, 123)):
    random = np.random.default_rng(seed)
    mask = np.zeros(shape, np.uint8)
    for width in (1, 2, 3):
        points = random.integers(0, 90, (5, 2)).astype(np.int32)
        cv2.polylines(mask, [points], isClosed=False, color=255, thickness=width)
    return mask


def _compressed(mask, quality, mode='L', **settings):
    file = io.BytesIO()
    Image.fromarray(mask).convert(mode).save(file, 'JPEG', quality=quality, **settings)
    return file.getvalue()


def _decoded(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert('L'))


def _jpegs(folder, masks, quality, **settings):
    paths = [folder / f'{index}.jpg' for index in range(len(masks))]
    for path, mask in zip(paths, masks, strict=True):
        path.write_bytes(_compressed(mask, quality, **settings))
    return [str(path) for path in paths]


def _pngs(folder, masks):
    paths = [str(folder / f'{index}.png') for index in range(len(masks))]
    for path, mask in zip(paths, masks, strict=True):
        Image.fromarray(mask.astype(np.uint8)).save(path)
    return paths


def _shapes(kind):
    if kind == 'lines':
        return [_lines(seed) for seed in range(6)]
    return [_discs(seed, SIZES[kind], (0, 255)) for seed in range(6)]


# ------------------------------------------------------------------------- two levels


@pytest.mark.parametrize('settings', [{}, dict(mode='RGB'), dict(mode='RGB', subsampling=0)])
@pytest.mark.parametrize('kind', ['large', 'small', 'lines'])
@pytest.mark.parametrize('quality', QUALITIES)
def test_jpeg_of_two_classes_gives_the_drawn_masks_at_any_quality(
    tmp_path, quality, kind, settings
):
    masks = _shapes(kind)
    paths = _jpegs(tmp_path, masks, quality, **settings)
    found = find_classes(paths)
    assert (found.names, found.threshold) == (['background', 'foreground'], 128)
    assert found.ignored == []
    for path, mask in zip(paths, masks, strict=True):
        with Image.open(path) as image:
            seen = np.asarray(image.convert('L')) >= found.threshold
        assert (seen == (mask == 255)).all()


@pytest.mark.parametrize('kind', ['large', 'small', 'lines'])
@pytest.mark.parametrize('quality', QUALITIES)
def test_jpeg_that_was_cut_and_saved_as_png_has_two_classes(tmp_path, quality, kind):
    masks = [_decoded(_compressed(mask, quality))[3:, 5:] for mask in _shapes(kind)]
    found = find_classes(_pngs(tmp_path, masks))
    assert (found.threshold, found.ignored) == (128, [])


@pytest.mark.parametrize('quality', [90, 95, 98, 100])
def test_the_upper_level_need_not_be_white(tmp_path, quality):
    masks = [_discs(seed, SIZES['large'], (0, 128)) for seed in range(6)]
    assert find_classes(_jpegs(tmp_path, masks, quality)).threshold == 64


@pytest.mark.parametrize('factor', [2, 3, 4])
def test_smoothed_edges_belong_to_the_nearer_level(tmp_path, factor):
    masks = [_discs(seed, (80, 240), (0, 255), (360, 492)) for seed in range(6)]
    small = [cv2.resize(m, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
             for m in masks]  # fmt: skip
    assert 3 < len(np.unique(small)) < 20
    found = find_classes(_pngs(tmp_path, small))
    assert (found.threshold, found.ignored) == (128, [])


# ------------------------------------------------------------------------- class ids


@pytest.mark.parametrize(
    'ids', [range(19), range(254), range(255), (0, 1, 254), (0, 1, 2, 253, 254)]
)
@pytest.mark.parametrize('side', [4, 16])
def test_class_ids_and_255_stay_class_ids(tmp_path, ids, side):
    values = np.array([*ids, 255])
    order = [np.random.default_rng(seed).permutation(256) % len(values) for seed in range(4)]
    masks = [np.kron(values[o].reshape(16, 16), np.ones((side, side))) for o in order]
    found = find_classes(_pngs(tmp_path, masks))
    assert (found.values, found.ignored, found.threshold) == (list(ids), [255], None)


@pytest.mark.parametrize('inks', [(0, 128, 255), (0, 1, 2, 255), (0, 7, 15, 255), (0, 1, 2, 4)])
@pytest.mark.parametrize('quality', QUALITIES)
def test_jpeg_of_more_classes_ignores_what_compression_made(tmp_path, quality, inks):
    masks = [_discs(seed, (30, 60), inks, (180, 240)) for seed in range(6)]
    paths = _jpegs(tmp_path, masks, quality)
    found = find_classes(paths)
    classes = list(inks) if inks[-1] == 4 or 128 in inks else list(inks[:-1])
    assert (found.values, found.threshold) == (classes, None)
    note = next(note for note in found.notes if 'masks saved as JPEG' in note)
    assert 'are taken as ignored' in note and 'make them anew' in note
    assert ('so near each other' in note) == (128 not in inks)
    for path, mask in zip(paths, masks, strict=True):
        with Image.open(path) as image:
            seen = np.asarray(image)
        inner = cv2.erode(mask, np.ones((17, 17))) == cv2.dilate(mask, np.ones((17, 17)))
        assert inner.any() and (seen[inner] == mask[inner]).all()
        kept = ~np.isin(seen, found.ignored)
        assert kept[inner & (mask != 255)].all()


@pytest.mark.parametrize('inks', [(0, 128, 255), (0, 1, 2, 255), (0, 1, 2, 4), (0, 1)])
@pytest.mark.parametrize('quality', QUALITIES)
def test_jpeg_of_small_objects_is_refused_unless_their_values_are_listed(tmp_path, quality, inks):
    masks = [_discs(seed, (4, 9), inks) for seed in range(6)]  # narrower than a block
    paths = _jpegs(tmp_path, masks, quality)
    with pytest.raises(ValueError, match='which of them are classes cannot be told'):
        find_classes(paths)
    lines = [f'{value} thing{value}' for value in inks]
    (tmp_path / 'classes.txt').write_text('\n'.join(lines))
    found = find_classes(paths, folder=tmp_path)
    assert (found.values, found.names) == (list(inks), [f'thing{value}' for value in inks])


def test_a_thin_third_class_is_no_edge(tmp_path):
    """Frames of 128, two pixels wide, around squares of 255 are no smoothed edges of these."""
    mask = np.zeros((96, 96), np.uint8)
    for row in range(4, 90, 30):
        for column in range(6, 90, 30):
            cv2.rectangle(mask, (column, row), (column + 17, row + 17), 128, -1)
            cv2.rectangle(mask, (column + 2, row + 2), (column + 15, row + 15), 255, -1)
    with pytest.raises(ValueError, match='which of them are classes cannot be told'):
        find_classes(_jpegs(tmp_path, [mask], 95))
    found = find_classes(_pngs(tmp_path, [mask]))
    assert (found.values, found.threshold) == ([0, 128, 255], None)


def test_colors_that_jpeg_made_are_refused(tmp_path):
    inks = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)
    mask = inks[_discs(0, (20, 60), (0, 1, 2))]
    path = tmp_path / 'm.jpg'
    Image.fromarray(mask).save(path, quality=100, subsampling=0)
    with Image.open(path) as image:
        assert len(np.unique(np.asarray(image).reshape(-1, 3), axis=0)) < 64
    with pytest.raises(ValueError, match='colors fill no block of 8 x 8 pixels'):
        find_classes([str(path)])


# ------------------------------------------------------------------------- blocks


@pytest.mark.parametrize('shape', [(8, 8), (16, 24), (21, 35), (5, 40), (3, 4)])
def test_blocks_are_those_of_a_loop(shape):
    random = np.random.default_rng(0)
    coarse = random.choice([0, 0, 9, 12], (7, 9))
    mask = np.kron(coarse, np.ones((7, 8), np.int64))[: shape[0], : shape[1]]
    low, high = mask.min(), mask.max()
    even, mixed, spanned = Counter(), 0, 0
    for top in range(0, shape[0], 8):
        for left in range(0, shape[1], 8):
            block = mask[top : top + 8, left : left + 8]
            around = mask[max(top - 8, 0) : top + 16, max(left - 8, 0) : left + 16]
            if block.min() == block.max():
                even[block[0, 0]] += block.size == 64
                continue
            mixed += 1
            quarter = (high - low) / 4
            spanned += around.min() <= low + quarter and around.max() >= high - quarter
    found = blocks_of(mask)
    assert found.even == {value: number for value, number in even.items() if number}
    assert tuple(found)[1:] == (low, high, mixed, spanned)


def test_blocks_of_colors_are_named_by_color():
    mask = np.zeros((16, 8, 3), np.uint8)
    mask[:8] = 200, 10, 30
    assert blocks_of(mask).even == {(200, 10, 30): 1, (0, 0, 0): 1}
