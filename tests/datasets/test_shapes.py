"""The embedded data set: determinism, layout, labels, and how much single pixels tell."""

import json
import runpy
import time

import cv2
import numpy as np
import pytest
from PIL import Image
from support.paths import ROOT

from mmseg_ext.datasets.shapes import CLASSES, HUES, TEXTURES, class_of, draw_image
from mmseg_ext.datasets.shapes_baselines import color_classifier_miou, constant_miou
from mmseg_ext.datasets.shapes_files import MANIFEST, checksum, write_shapes


@pytest.fixture(scope='module')
def full(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'shapes'
    start = time.process_time()
    assert write_shapes(root, progress=False)
    return root, time.process_time() - start


def test_image_depends_on_seed_and_index_only():
    draw_image(3, size=64)
    image, label = draw_image(7, size=64, seed=1)
    again, label_again = draw_image(7, size=64, seed=1)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(label, label_again)
    assert (draw_image(7, size=64, seed=2)[0] != image).mean() > 0.5
    assert (draw_image(8, size=64, seed=1)[0] != image).mean() > 0.5


def test_class_names_follow_hue_and_texture():
    assert len(CLASSES) == 21
    for hue, hue_name in enumerate(HUES):
        for texture, texture_name in enumerate(TEXTURES):
            assert CLASSES[class_of(hue, texture)] == f'{hue_name}_{texture_name}'


def test_borders_are_exactly_the_pixels_beside_another_label():
    _, label = draw_image(0, size=48)
    objects = label != 255
    # No two labels that are both known may touch, diagonals included.
    for rows, columns in ((0, 1), (1, 0), (1, 1)):
        a, b = label[rows:, columns:], label[: 48 - rows, : 48 - columns]
        both = objects[rows:, columns:] & objects[: 48 - rows, : 48 - columns]
        assert (a[both] == b[both]).all()
    a, b = label[1:, :-1], label[:-1, 1:]
    both = objects[1:, :-1] & objects[:-1, 1:]
    assert (a[both] == b[both]).all()
    assert 0 < (~objects).mean() < 0.4


def test_making_300_images_takes_less_than_20_seconds(full):
    assert full[1] < 20


def test_layout_is_that_of_voc(full):
    root, _ = full
    ids = {
        split: (root / f'ImageSets/Segmentation/{split}.txt').read_text().split()
        for split in ('train', 'val')
    }
    assert len(ids['train']) == 240 and len(ids['val']) == 60
    names = {path.stem for path in (root / 'JPEGImages').iterdir()}
    assert set(ids['train']) | set(ids['val']) == names
    assert {path.stem for path in (root / 'SegmentationClass').iterdir()} == names
    mask = Image.open(root / 'SegmentationClass' / f'{ids["val"][0]}.png')
    assert mask.mode == 'P' and mask.getpalette()[3:6] == [128, 0, 0]
    index = int(ids['val'][0].split('_')[1])
    np.testing.assert_array_equal(np.asarray(mask), draw_image(index)[1])


def test_every_class_is_in_both_splits_and_background_is_the_largest(full):
    root, _ = full
    for split in ('train', 'val'):
        counts = np.zeros(256, np.int64)
        for name in (root / f'ImageSets/Segmentation/{split}.txt').read_text().split():
            mask = np.asarray(Image.open(root / f'SegmentationClass/{name}.png'))
            counts += np.bincount(mask.ravel(), minlength=256)
        assert (counts[:21] > 0).all() and counts[21:255].sum() == 0 and counts[255] > 0
        assert 0.5 < counts[0] / counts[:21].sum() < 0.8


def test_color_of_single_pixels_says_something_but_not_much(full):
    constant = constant_miou(full[0])
    for bins in (8, 16, 32):
        ratio = color_classifier_miou(full[0], bins=bins) / constant
        assert 1.3 < ratio < 3


def test_constant_miou_against_the_background_fraction(full):
    labels = [draw_image(i)[1] for i in range(300) if i % 5 == 4]
    known = np.concatenate([label[label != 255] for label in labels])
    # IoU of background is its fraction of all known pixels, of all others 0.
    assert constant_miou(full[0]) == pytest.approx((known == 0).mean() / 21, rel=1e-12)


def test_color_classifier_against_a_loop_over_pixels(tmp_path):
    root = tmp_path / 'shapes'
    write_shapes(root, num=5, size=32, progress=False)
    seen = {}
    for split in ('train', 'val'):
        pixels = []
        for name in (root / f'ImageSets/Segmentation/{split}.txt').read_text().split():
            image = cv2.imread(str(root / f'JPEGImages/{name}.jpg'))
            label = np.asarray(Image.open(root / f'SegmentationClass/{name}.png'))
            pixels += [
                (tuple(int(c) // 64 for c in image[y, x]), int(label[y, x]))
                for y in range(32)
                for x in range(32)
                if label[y, x] != 255
            ]
        seen[split] = pixels
    votes = {}
    for color, label in seen['train']:
        votes.setdefault(color, [0] * 21)[label] += 1
    pairs = [
        (label, votes[color].index(max(votes[color])) if color in votes else 0)
        for color, label in seen['val']
    ]
    ious = []
    for k in range(21):
        union = sum(k in pair for pair in pairs)
        if union:
            ious.append(sum(pair == (k, k) for pair in pairs) / union)
    assert color_classifier_miou(root, bins=4) == pytest.approx(np.mean(ious), rel=1e-12)


def test_complete_folder_is_reused_and_a_damaged_one_is_made_again(tmp_path):
    root = tmp_path / 'shapes'
    assert write_shapes(root, num=5, size=32, progress=False)
    before = checksum(root)
    assert not write_shapes(root, num=5, size=32, progress=False)
    (root / 'JPEGImages/shapes_000003.jpg').write_bytes(b'damaged')
    assert write_shapes(root, num=5, size=32, progress=False)
    assert checksum(root) == before == json.loads((root / MANIFEST).read_text())['sha256']
    assert write_shapes(root, num=5, size=32, seed=1, progress=False)
    assert checksum(root) != before
    assert [path.name for path in tmp_path.iterdir()] == ['shapes']  # no temporary folder left


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / 'photo.jpg').write_bytes(b'dear to someone')
    with pytest.raises(FileExistsError, match='not made by make_shapes'):
        write_shapes(tmp_path, num=5, size=32, progress=False)
    assert (tmp_path / 'photo.jpg').read_bytes() == b'dear to someone'


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr('mmseg_ext.datasets.shapes_files._save_jpeg', fail)
    with pytest.raises(KeyboardInterrupt):
        write_shapes(tmp_path / 'shapes', num=5, size=32, progress=False)
    assert not list(tmp_path.iterdir())


def test_too_small_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match='num=4'):
        write_shapes(tmp_path / 'shapes', num=4, progress=False)


def test_tool(tmp_path, monkeypatch, capsys):
    tool = str(ROOT / 'tools/make_shapes.py')
    out = str(tmp_path / 'shapes')
    arguments = ['make_shapes.py', '--out', out, '--num', '5', '--size', '32', '--seed', '7']
    monkeypatch.setattr('sys.argv', arguments)
    for said in ('written', 'complete already'):
        runpy.run_path(tool, run_name='__main__')
        assert f'{out}: {said}' in capsys.readouterr().out
    image = cv2.imread(f'{out}/JPEGImages/shapes_000004.jpg').astype(int)
    assert np.abs(image - draw_image(4, size=32, seed=7)[0]).mean() < 12  # but for JPEG
    monkeypatch.setattr('sys.argv', [*arguments[:2], str(tmp_path), *arguments[3:]])
    with pytest.raises(SystemExit, match='error: .*not made by make_shapes'):
        runpy.run_path(tool, run_name='__main__')
