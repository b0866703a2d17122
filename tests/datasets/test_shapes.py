"""The embedded data set: determinism, layout, labels, and how much single pixels tell."""

import hashlib
import json
import runpy
import time

import cv2
import numpy as np
import pytest
from PIL import Image
from support.paths import ROOT

from mmseg_ext.datasets.shapes import draw_image
from mmseg_ext.datasets.shapes_baselines import color_classifier_miou, constant_miou
from mmseg_ext.datasets.shapes_files import (
    MANIFEST,
    Shapes7Dataset,
    ShapesDataset,
    checksum,
    write_shapes,
)
from mmseg_ext.datasets.shapes_variants import OUTLINES, SHAPES7, SHAPES21, TEXTURES, VARIANTS

# of the version before there were variants, computed with it
_LABELS_OF_EARLIER_VERSIONS = '8b9f99120a66faba7d1fc3ced6ce820a0d60648220dbb6e3987389b7fa1d071f'
_LAST_COLOR_OF_EARLIER_VERSIONS = (127.3, 119.6, 102.1)


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
    assert len(SHAPES21.classes) == len(SHAPES21.palette) == 21
    number = 0
    for hue, hue_name in enumerate(('red', 'lime', 'teal', 'blue', 'violet')):
        for look, texture in enumerate(('plain', 'stripes', 'checks', 'dots')):
            number += 1
            assert SHAPES21.cues.class_of(hue, look) == number
            assert SHAPES21.classes[number] == f'{hue_name}_{texture}'
            outline = ('round', 'box', 'star', 'ring')[(hue + look) % 4]
            assert SHAPES21.cues.looks[hue][look] == (texture, outline)


def test_the_drawing_of_21_classes_is_that_of_earlier_versions():
    """Labels are drawn in integers; colors of the same randomness follow the same labels."""
    digest = hashlib.sha256()
    for index in range(4):
        image, label = draw_image(index, size=64, seed=5)
        digest.update(label.tobytes())
    assert digest.hexdigest() == _LABELS_OF_EARLIER_VERSIONS
    assert image.reshape(-1, 3).mean(0) == pytest.approx(_LAST_COLOR_OF_EARLIER_VERSIONS, abs=0.5)


def test_any_two_of_seven_classes_differ_in_hue_and_in_a_second_cue():
    cues = SHAPES7.cues
    assert len(SHAPES7.classes) == len(SHAPES7.palette) == len(set(SHAPES7.palette)) == 7
    assert [len(looks) for looks in cues.looks] == [1] * 6
    assert [cues.class_of(hue, 0) for hue in range(6)] == [1, 2, 3, 4, 5, 6]
    assert cues.hue_spread < cues.hue_step / 2 and len(cues.looks) * cues.hue_step <= 180
    assert len({look for (look,) in cues.looks}) == 6 and cues.outline_faith == 1
    for (texture, outline), name in zip((look for (look,) in cues.looks), SHAPES7.classes[1:]):
        assert texture in TEXTURES and outline in OUTLINES
        adjective = dict(stripes='striped', checks='checked', dots='dotted')[texture]
        assert name.endswith(f'_{adjective}_{dict(round="disk").get(outline, outline)}')


def test_colors_of_seven_classes_are_what_their_names_say():
    """The hue of the median color of each object, in degrees, against that of the named color."""
    named = dict(red=0, yellow=60, green=120, cyan=180, blue=240, magenta=300)
    seen = {number: [] for number in range(1, 7)}
    for index in range(12):
        image, label = draw_image(index, size=96, seed=3, variant=SHAPES7)
        assert label[label != 255].max() <= 6
        hue = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)[..., 0] * 2.0
        for number in np.unique(label[(label > 0) & (label < 255)]):
            inside = label == number
            if inside.sum() > 100:
                around = np.exp(1j * np.deg2rad(hue[inside])).mean()
                seen[int(number)].append(np.rad2deg(np.angle(around)))
    for number, hues in seen.items():
        assert len(hues) >= 3
        middle = named[SHAPES7.classes[number].split('_')[0]]
        away = (np.array(hues) - middle + 180) % 360 - 180
        assert (abs(away) < 30).all(), (number, hues)


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


@pytest.fixture(scope='module')
def both(tmp_path_factory):
    """A small folder of each variant."""
    folder = tmp_path_factory.mktemp('variants')
    for name in VARIANTS:
        assert write_shapes(folder / name, variant=name, num=5, size=32, progress=False)
    return folder


def _dataset(kind, root, **kwargs):
    prefix = dict(img_path='JPEGImages', seg_map_path='SegmentationClass')
    ann_file = 'ImageSets/Segmentation/train.txt'
    return kind(ann_file, data_root=str(root), data_prefix=prefix, **kwargs)


def test_a_folder_of_another_variant_is_left_alone(both):
    before = checksum(both / 'shapes21')
    with pytest.raises(FileExistsError, match="'shapes21' of shapes, not 'shapes7': .*--out"):
        write_shapes(both / 'shapes21', variant='shapes7', num=5, size=32, progress=False)
    with pytest.raises(FileExistsError, match="'shapes7' of shapes, not 'shapes21': .*--out"):
        write_shapes(both / 'shapes7', num=5, size=32, progress=False)
    assert checksum(both / 'shapes21') == before
    manifest = json.loads((both / 'shapes21' / MANIFEST).read_text())
    assert manifest['variant'] == 'shapes21'


def test_a_folder_that_names_no_variant_has_21_classes(tmp_path):
    root = tmp_path / 'shapes'
    write_shapes(root, num=5, size=32, progress=False)
    manifest = json.loads((root / MANIFEST).read_text())
    del manifest['variant']  # as earlier versions wrote it
    (root / MANIFEST).write_text(json.dumps(manifest))
    assert not write_shapes(root, num=5, size=32, progress=False)
    assert len(_dataset(ShapesDataset, root)) == 4
    with pytest.raises(FileExistsError, match="'shapes21' of shapes, not 'shapes7'"):
        write_shapes(root, variant='shapes7', num=5, size=32, progress=False)


def test_masks_and_classes_of_a_data_set_are_of_one_variant(both):
    for kind, name, count in ((ShapesDataset, 'shapes21', 21), (Shapes7Dataset, 'shapes7', 7)):
        dataset = _dataset(kind, both / name)
        assert len(dataset) == 4 and len(dataset.metainfo['classes']) == count
        assert dataset.metainfo['palette'] == [list(color) for color in VARIANTS[name].palette]
        palette = Image.open(dataset.get_data_info(0)['seg_map_path']).getpalette()
        assert palette[: 3 * count] == [part for color in VARIANTS[name].palette for part in color]
    for kind, name, remedy in (
        (ShapesDataset, 'shapes7', 'make_shapes.*--variant shapes21 --out data/shapes\\)'),
        (Shapes7Dataset, 'shapes21', 'make_shapes.*--variant shapes7 --out data/shapes7\\)'),
    ):
        with pytest.raises(ValueError, match=f"{name} holds the variant '{name}' .*{remedy}"):
            _dataset(kind, both / name)


@pytest.mark.parametrize('text, message', [
    (None, 'shapes.json: no readable file'), ('{"variant', 'shapes.json: no readable file'),
    ('{"num": 5}', 'shapes.json: no readable file'),
    ('{"drawing": "", "variant": "shapes9"}', "shapes.json: no variant of shapes 'shapes9'"),
    ('{"drawing": "", "variant": ["x"]}', 'shapes.json: no variant of shapes'),
])  # fmt: skip
def test_a_folder_that_does_not_say_its_classes_is_not_trained_on(tmp_path, text, message):
    root = tmp_path / 'shapes'
    write_shapes(root, num=5, size=32, progress=False)
    (root / MANIFEST).unlink()
    if text is not None:
        (root / MANIFEST).write_text(text)
    with pytest.raises(ValueError, match=message):
        _dataset(ShapesDataset, root)


def test_an_unknown_variant_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no variant of shapes 'shapes8'.*'shapes21', 'shapes7'"):
        write_shapes(tmp_path / 'shapes', variant='shapes8', progress=False)
    assert not list(tmp_path.iterdir())


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
    monkeypatch.setattr('sys.argv', [*arguments, '--variant', 'shapes7'])
    with pytest.raises(SystemExit, match="error: .*holds the variant 'shapes21'"):
        runpy.run_path(tool, run_name='__main__')
    monkeypatch.setattr(
        'sys.argv', [*arguments[:2], f'{out}7', '--variant', 'shapes7', '--num', '5']
    )
    runpy.run_path(tool, run_name='__main__')
    assert json.loads((tmp_path / 'shapes7' / MANIFEST).read_text())['variant'] == 'shapes7'
    monkeypatch.setattr('sys.argv', [*arguments[:2], str(tmp_path), *arguments[3:]])
    with pytest.raises(SystemExit, match='error: .*not made by make_shapes'):
        runpy.run_path(tool, run_name='__main__')
