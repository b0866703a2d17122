"""LoadImage and LoadLabels: values of every depth and channel count, order of the label steps."""

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from mmseg_ext.core.reading import read_image
from mmseg_ext.datasets.loading import (
    LoadLabels,
    colors_to_ids,
    map_labels,
    read_mask,
    shift_zero_label,
)
from mmseg_ext.datasets.multichannel import LoadImage

RANDOM = np.random.default_rng(0)


def noise(channels, dtype):
    image = RANDOM.integers(0, 60000 if dtype == np.uint16 else 256, (7, 9, channels))
    return image.astype(dtype)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize('channels', [1, 2, 3, 4, 5, 13])
@pytest.mark.parametrize('planar', ['contig', 'separate'])
def test_tiff_of_unnamed_channels_keeps_the_order_of_the_file(tmp_path, dtype, channels, planar):
    image = noise(channels, dtype)
    path = str(tmp_path / 'a.tif')
    stored = image if planar == 'contig' else image.transpose(2, 0, 1)
    if channels == 1:
        stored = image[..., 0]
    tifffile.imwrite(
        path,
        stored,
        photometric='minisblack',
        planarconfig=planar if channels > 1 else None,
        compression='zlib',
    )
    got = read_image(path)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, image)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_tiff_that_names_red_green_blue_comes_blue_first(tmp_path, dtype):
    for channels in (3, 5):
        image = noise(channels, dtype)
        path = str(tmp_path / f'{channels}.tif')
        tifffile.imwrite(path, image, photometric='rgb', planarconfig='contig')
        got = read_image(path)
        np.testing.assert_array_equal(got[..., :3], image[..., 2::-1])
        np.testing.assert_array_equal(got[..., 3:], image[..., 3:])


def test_tiff_pages_are_channels_compressed_with_lzw_or_not(tmp_path):
    image = noise(6, np.uint16)
    path = str(tmp_path / 'pages.tif')
    cv2.imwritemulti(path, list(image.transpose(2, 0, 1)))  # LZW
    np.testing.assert_array_equal(read_image(path), image)
    tifffile.imwrite(path, image.transpose(2, 0, 1), photometric='minisblack')
    np.testing.assert_array_equal(read_image(path), image)


def test_lzw_colors_come_blue_first(tmp_path):
    image = noise(3, np.uint8)
    path = str(tmp_path / 'a.tif')
    cv2.imwrite(path, image)  # OpenCV takes blue first and writes LZW
    np.testing.assert_array_equal(read_image(path), image)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_png_of_8_and_16_bit(tmp_path, dtype, channels):
    image = noise(channels, dtype)
    path = str(tmp_path / 'a.png')
    assert cv2.imwrite(path, image)  # OpenCV writes blue first as red, green, blue
    np.testing.assert_array_equal(read_image(path), image)


def test_scaling_to_255(tmp_path):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, np.array([[0, 4095], [32768, 65535]], np.uint16))
    values = LoadImage().transform(dict(img_path=path))['img'][..., 0]
    assert values.dtype == np.float32
    want = np.array([[0, 4095 / 257], [32768 / 257, 255]])
    np.testing.assert_allclose(values, want, rtol=1e-6)
    values = LoadImage(max_value=4095).transform(dict(img_path=path))['img'][..., 0]
    assert values[0, 1] == pytest.approx(255, rel=1e-6)


def test_8_bit_stays_as_it_is_and_grey_is_repeated(tmp_path):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, np.arange(12, dtype=np.uint8).reshape(3, 4))
    results = LoadImage(channels=3).transform(dict(img_path=path))
    assert results['img'].dtype == np.uint8 and results['ori_shape'] == (3, 4)
    for channel in range(3):
        np.testing.assert_array_equal(results['img'][..., channel], np.arange(12).reshape(3, 4))


def test_wrong_number_of_channels_and_float_without_scale(tmp_path):
    path = str(tmp_path / 'a.tif')
    tifffile.imwrite(path, noise(5, np.float32), photometric='minisblack', planarconfig='contig')
    with pytest.raises(ValueError, match=r'a\.tif.*5 channels.*expect 4.*in_channels'):
        LoadImage(channels=4).transform(dict(img_path=path))
    with pytest.raises(ValueError, match=r'a\.tif.*float32.*max_value'):
        LoadImage(channels=5).transform(dict(img_path=path))
    with pytest.raises(ValueError, match='max_value'):
        LoadImage(max_value=0)


@pytest.mark.parametrize('ending', ['png', 'tif', 'jpg'])
@pytest.mark.parametrize('keep', [0, 6, 200])
def test_damaged_image_is_named(tmp_path, ending, keep):
    path = tmp_path / f'a.{ending}'
    cv2.imwrite(str(path), RANDOM.integers(0, 255, (50, 50, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf'a\.{ending}: cannot be decoded'):
        read_image(str(path))


def save_mask(path, values, mode='L'):
    image = Image.fromarray(np.asarray(values, np.uint8))
    if mode == 'P':
        image.putpalette([7, 80, 90] * 256)
    image.save(path)
    return str(path)


def load(path, **results):
    done = LoadLabels().transform(dict(seg_map_path=path, img_path='a.jpg', **results))
    return done['gt_seg_map']


def test_palette_masks_give_indices_and_grey_saved_as_rgb_gives_ids(tmp_path):
    values = np.array([[0, 3], [20, 255]], np.uint8)
    np.testing.assert_array_equal(load(save_mask(tmp_path / 'p.png', values, 'P')), values)
    Image.fromarray(np.stack([values] * 3, -1)).save(tmp_path / 'rgb.png')
    np.testing.assert_array_equal(load(str(tmp_path / 'rgb.png')), values)
    np.testing.assert_array_equal(load(save_mask(tmp_path / 'l.png', values)), values)
    Image.fromarray(np.array([[True, False]])).save(tmp_path / 'bit.png')
    np.testing.assert_array_equal(load(str(tmp_path / 'bit.png')), [[1, 0]])


def test_16_bit_masks_keep_their_ids(tmp_path):
    values = np.array([[0, 300], [1000, 65535]], np.uint16)
    cv2.imwrite(str(tmp_path / 'a.png'), values)
    got = load(str(tmp_path / 'a.png'), num_classes=1001, ignore_index=65535)
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got, values)


def test_label_steps_and_their_order(tmp_path):
    path = save_mask(tmp_path / 'a.png', [[0, 1, 2, 255]])
    np.testing.assert_array_equal(load(path, reduce_zero_label=True), [[255, 0, 1, 255]])
    # All at once: 1 -> 2 must not be carried on by 2 -> 1.
    np.testing.assert_array_equal(load(path, label_map={1: 2, 2: 1}), [[0, 2, 1, 255]])
    np.testing.assert_array_equal(
        load(path, reduce_zero_label=True, label_map={0: 5}), [[255, 5, 1, 255]]
    )
    grey = save_mask(tmp_path / 'g.png', [[0, 126, 127, 254]])
    np.testing.assert_array_equal(load(grey, mask_threshold=127), [[0, 0, 1, 1]])
    np.testing.assert_array_equal(
        load(save_mask(tmp_path / 'b.png', [[0, 255]]), label_map={255: 1}, num_classes=2), [[0, 1]]
    )


def test_zero_label_equals_mmseg_for_every_value(tmp_path):
    from mmseg.datasets.transforms import LoadAnnotations

    # 254 apart: mmseg makes it 253 as we do, but with 8 bits it cannot tell 255 from -1.
    path = save_mask(tmp_path / 'a.png', np.arange(256).reshape(16, 16))
    results = dict(seg_map_path=path, reduce_zero_label=True, label_map=None, seg_fields=[])
    want = LoadAnnotations().transform(dict(results))['gt_seg_map']
    np.testing.assert_array_equal(load(path, reduce_zero_label=True), want)


def test_pure_label_functions():
    np.testing.assert_array_equal(map_labels(np.array([3, 4, 5]), {3: 4, 4: 3}), [4, 3, 5])
    np.testing.assert_array_equal(shift_zero_label(np.array([0, 1, 9]), ignore_index=9), [9, 0, 9])
    palette = [[0, 0, 0], [1, 2, 3], [255, 255, 254]]
    mask = np.array([[[1, 2, 3], [255, 255, 254]], [[0, 0, 0], [3, 2, 1]]])
    np.testing.assert_array_equal(colors_to_ids(mask, palette), [[1, 2], [0, -1]])


def test_color_masks(tmp_path):
    colors = np.array([[[255, 0, 0], [0, 0, 0]], [[0, 255, 0], [9, 9, 9]]], np.uint8)
    Image.fromarray(colors).save(tmp_path / 'c.png')
    path = str(tmp_path / 'c.png')
    setting = dict(
        mask_format='color', palette=[[0, 0, 0], [255, 0, 0], [0, 255, 0]], num_classes=3
    )
    np.testing.assert_array_equal(
        load(path, void_colors=[[9, 9, 9]], **setting), [[1, 0], [2, 255]]
    )
    with pytest.raises(ValueError, match=r'c\.png.*\(9, 9, 9\).*palette'):
        load(path, **setting)
    with pytest.raises(ValueError, match=r'c\.png.*colors.*mask_format'):
        load(path, num_classes=3)
    black = save_mask(tmp_path / 'black.png', np.zeros((2, 2)))
    np.testing.assert_array_equal(load(black, **setting), np.zeros((2, 2)))


def test_sample_without_mask_passes_through():
    results = dict(img=np.zeros((2, 2, 3)))
    assert LoadLabels().transform(results) == results and 'gt_seg_map' not in results


def test_damaged_mask_is_named(tmp_path):
    path = tmp_path / 'm.png'
    save_mask(path, np.zeros((60, 60)))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r'm\.png: cannot be decoded'):
        read_mask(str(path))
