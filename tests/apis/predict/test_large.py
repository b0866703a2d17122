"""Images predicted while they are read: the files equal what the image in memory gives."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_ext.apis.predict import large as module
from mmseg_ext.apis.predict import memory as estimate
from mmseg_ext.apis.predict.crf import read_item, read_listing
from mmseg_ext.apis.predict.dropout import DropoutPasses
from mmseg_ext.apis.predict.geotiff import square_metres, tags_of
from mmseg_ext.apis.predict.large import Preparation, tell_windows
from mmseg_ext.apis.predict.memory import Memory
from mmseg_ext.apis.predict.output import predict_to_folder
from mmseg_ext.apis.predict.predictor import Failure, build_pipeline, predict
from mmseg_ext.apis.predict.strips import predict_windows
from mmseg_ext.apis.predict.windows import Windows
from mmseg_ext.apis.run.load import load_model

SIZE = (203, 317)
WINDOWS = Windows((128, 128), (96, 96), smooth=True)
# as GDAL writes it for EPSG:32632 with 0.5 m pixels
KEYS = (1, 1, 0, 4, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32632, 3076, 0, 1, 9001)
GEO = [
    (33550, 'd', 3, (0.5, 0.5, 0.0), True),
    (33922, 'd', 6, (0.0, 0.0, 0.0, 500000.0, 5200000.0, 0.0), True),
    (34735, 'H', len(KEYS), KEYS, True),
    (42113, 's', 2, '0', True),
]


@pytest.fixture(scope='module')
def weights(tmp_path_factory, tiny_config, random_weights) -> Path:
    return random_weights(tiny_config, tmp_path_factory.mktemp('large') / 'w.pth')


@pytest.fixture(scope='module')
def model(tiny_config, weights) -> torch.nn.Module:
    return load_model(tiny_config, weights, device='cpu')


@pytest.fixture
def little_memory(monkeypatch) -> None:
    """Every image above 2000 pixels is predicted in WINDOWS."""
    monkeypatch.setattr(estimate, 'SMALL', 2000)
    monkeypatch.setattr(module, 'SMALL', 2000)
    monkeypatch.setattr(Memory, 'needed', lambda *_: float('inf'))
    monkeypatch.setattr(Memory, 'choices', lambda self: iter([WINDOWS]))


def _bgr(height: int = SIZE[0], width: int = SIZE[1]) -> np.ndarray:
    random = np.random.default_rng(height)
    coarse = random.integers(0, 256, (9, 11, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height))


def _expected(model, bgr: np.ndarray) -> np.ndarray:
    """The windows of the image in memory, by the model alone."""
    from mmseg.structures import SegDataSample

    size = bgr.shape[:2]
    sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size))
    image = torch.from_numpy(np.ascontiguousarray(bgr.transpose(2, 0, 1)))
    with torch.inference_mode():
        return predict_windows(model, image, sample, WINDOWS).label


def _entry(out: Path) -> dict:
    (entry,) = json.loads((out / 'predictions.json').read_text())['images']
    return entry


@pytest.mark.parametrize('name, options', [
    ('a.png', None),
    ('a.tif', dict(tile=(64, 64), compression='zlib')),
    ('a.tif', dict(rowsperstrip=5)),
])  # fmt: skip
@pytest.mark.usefixtures('little_memory')
def test_files_are_those_of_the_whole_image(model, tmp_path, name, options) -> None:
    bgr, path, out = _bgr(), tmp_path / name, tmp_path / 'out'
    if options is None:
        cv2.imwrite(str(path), bgr)
    else:
        tifffile.imwrite(path, bgr[..., ::-1], photometric='rgb', **options)
    assert predict_to_folder(model, [path], out) == []
    expected = _expected(model, bgr)
    assert len(np.unique(expected)) > 1
    entry = _entry(out)
    assert entry['mask'] == ('masks/a.png' if options is None else 'masks/a.tif')
    mask = Image.open(out / entry['mask'])
    np.testing.assert_array_equal(np.asarray(mask), expected)
    palette = model.dataset_meta['palette']
    assert mask.mode == 'P' and mask.getpalette('RGB')[:9] == sum(palette, [])
    painted = np.asarray(Image.open(out / entry['overlay'])).astype(float)
    blend = bgr[..., ::-1] * 0.45 + np.array(palette)[expected] * 0.55
    np.testing.assert_allclose(painted, blend, atol=0.51)
    assert not list(out.rglob('*.part')) and 'overlay_step' not in entry


@pytest.mark.usefixtures('little_memory')
def test_in_memory_it_is_the_same(model, tmp_path) -> None:
    bgr, path = _bgr(), tmp_path / 'a.tif'
    tifffile.imwrite(path, bgr[..., ::-1], photometric='rgb')
    (result,) = predict(model, [path])
    np.testing.assert_array_equal(result.label, _expected(model, bgr))
    np.testing.assert_array_equal(result.picture, bgr[..., ::-1])


@pytest.mark.usefixtures('little_memory')
def test_masks_of_geotiffs_keep_their_place(model, tmp_path) -> None:
    path, out = tmp_path / 'a.tif', tmp_path / 'out'
    tifffile.imwrite(path, _bgr()[..., ::-1], photometric='rgb', extratags=GEO, tile=(64, 64))
    assert predict_to_folder(model, [path], out) == []
    with tifffile.TiffFile(out / _entry(out)['mask']) as file:
        tags = file.pages.first.tags
        assert [tags[code].value for code, *_ in GEO[:3]] == [value for *_, value, _ in GEO[:3]]
        assert 42113 not in tags  # 0 is a class of the mask
    assert square_metres(tags_of(path)) == 0.25
    turned = [(34264, 'd', 16, (0.3, 0.4, 0, 0, 0.4, -0.3, *[0] * 10), True), GEO[2]]
    assert square_metres(turned) == pytest.approx(0.25)
    assert square_metres(GEO[:2]) is None and square_metres([]) is None


@pytest.mark.usefixtures('little_memory')
def test_uncertainty_in_strips(tiny_config, weights, tmp_path) -> None:
    options = {'model.type': 'MonteCarloEncoderDecoder', 'model.decode_head.dropout_ratio': 0.5}
    model = load_model(tiny_config, weights, device='cpu', cfg_options=options)
    path, out = tmp_path / 'a.png', tmp_path / 'out'
    cv2.imwrite(str(path), _bgr())
    torch.manual_seed(1)
    assert predict_to_folder(model, [path], out) == []
    torch.manual_seed(1)
    (expected,) = predict(model, [path])
    entry = _entry(out)
    values = np.load(out / entry['uncertainty'])['uncertainty']
    np.testing.assert_array_equal(values, expected.maps['uncertainty'])
    assert values.shape == SIZE and 0 < entry['highest_uncertainty'] == values.max() <= 0.25
    picture = np.asarray(Image.open(out / 'uncertainty/a.png'))
    np.testing.assert_allclose(picture[..., 0], 255 * values / values.max(), atol=0.51)


@pytest.mark.usefixtures('little_memory')
def test_probabilities_and_dropout_maps_in_strips(model, tmp_path) -> None:
    path, out = tmp_path / 'a.png', tmp_path / 'out'
    cv2.imwrite(str(path), _bgr())
    unsure = DropoutPasses(model, 3)
    assert predict_to_folder(unsure, [path], out, prob=True) == []
    entry = _entry(out)
    assert entry['prob'] == 'prob/a.npy'
    prob = np.load(out / entry['prob'], mmap_mode='r')
    assert prob.shape == (3, *SIZE) and prob.dtype == np.float16
    np.testing.assert_allclose(prob.astype(float).sum(0), 1, atol=2e-3)
    label = np.asarray(Image.open(out / entry['mask']))
    best = np.take_along_axis(prob.astype(float), label[None].astype(int), 0)[0]
    assert (best >= prob.max(0)).mean() > 0.999  # float16 makes ties
    (expected,) = predict(unsure, [path], keep_prob=True)
    np.testing.assert_array_equal(prob, expected.prob)
    for kind in ('entropy', 'bald'):
        values = np.load(out / entry[kind])[kind]
        np.testing.assert_array_equal(values, expected.maps[kind])
        assert 0 < entry[f'highest_{kind}'] == values.max() <= np.log(3) + 1e-6
    (at_once,) = predict(DropoutPasses(model, 3), [_bgr(40, 40)], keep_prob=True)
    mean = at_once.prob.astype(float).clip(1e-9)
    np.testing.assert_allclose(at_once.maps['entropy'], -(mean * np.log(mean)).sum(0), atol=5e-3)
    with pytest.raises(ValueError, match='a.png was predicted in windows.*cut it into tiles'):
        read_item(read_listing(out)[1][0])


@pytest.mark.usefixtures('little_memory')
def test_overlays_too_large_to_open_show_every_second_pixel(model, tmp_path, monkeypatch) -> None:
    path, out = tmp_path / 'a.png', tmp_path / 'out'
    cv2.imwrite(str(path), _bgr())
    assert predict_to_folder(model, [path], out) == []
    whole = np.asarray(Image.open(out / 'overlays/a.png'))
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', SIZE[0] * SIZE[1] - 1)
    assert predict_to_folder(model, [path], out) == []
    np.testing.assert_array_equal(np.asarray(Image.open(out / 'overlays/a.png')), whole[::2, ::2])
    assert _entry(out)['overlay_step'] == 2


@pytest.mark.usefixtures('little_memory')
def test_an_image_that_fails_halfway_leaves_nothing(model, tmp_path, monkeypatch) -> None:
    path, good, out = tmp_path / 'a.tif', tmp_path / 'b.tif', tmp_path / 'out'
    values = _bgr()[..., ::-1]
    tifffile.imwrite(path, values, photometric='rgb', rowsperstrip=8, compression='zlib')
    tifffile.imwrite(good, values, photometric='rgb')
    data = bytearray(path.read_bytes())
    data[-4000:-3000] = bytes(1000)  # the last strips
    path.write_bytes(data)
    (failure,) = predict_to_folder(model, [path, good], out)
    assert str(path) in failure.reason and 'cannot be decoded' in failure.reason
    assert _entry(out)['image'] == str(good)
    assert sorted(p.name for p in out.rglob('*') if p.is_file()) == [
        'areas.csv', 'b.png', 'b.tif', 'predictions.json',
    ]  # fmt: skip


def test_pipelines_that_need_the_whole_image_get_it(model) -> None:
    assert Preparation(build_pipeline(model.cfg)).is_rowwise()
    loads, packs = dict(type='LoadImageFromFile'), dict(type='PackSegInputs')
    resizes = dict(type='Resize', scale=(8, 8))
    for steps, rowwise in [
        ([loads, packs], True),
        ([dict(type='LoadImage', channels=5), packs], True),
        ([loads, resizes, packs], False),
        ([dict(loads, color_type='grayscale'), packs], False),
        ([dict(loads, imdecode_backend='pillow'), packs], False),
        ([loads], False),
    ]:
        prepare = Preparation(build_pipeline(Config(dict(test_pipeline=steps))))
        assert prepare.is_rowwise() is rowwise, steps


@pytest.mark.usefixtures('little_memory')
def test_deep_bands_in_strips(tiny_config, random_weights, tmp_path) -> None:
    """Twelve bits of five bands: as LoadImage prepares the image in memory."""
    config = tmp_path / 'deep.py'
    config.write_text(
        f'_base_ = {str(tiny_config)!r}\n'
        "steps = [dict(type='LoadImage', channels=5, max_value=4095), dict(type='PackSegInputs')]\n"
        'test_dataloader = dict(dataset=dict(pipeline=steps))\n'
        'model = dict(backbone=dict(in_channels=5), data_preprocessor=dict(\n'
        '    bgr_to_rgb=False, mean=[127.5] * 5, std=[127.5] * 5))\n'
    )
    model = load_model(config, random_weights(config, tmp_path / 'w.pth'), device='cpu')
    coarse = np.random.default_rng(5).integers(0, 4096, (7, 9, 5))
    image = np.repeat(np.repeat(coarse, 30, 0), 30, 1).astype(np.uint16)
    path = tmp_path / 'a.tif'
    tifffile.imwrite(path, image, photometric='minisblack', planarconfig='contig', tile=(64, 64))
    (result,) = predict(model, [path])
    assert not isinstance(result, Failure), result
    scaled = image.astype(np.float32) * np.float32(255 / 4095)
    np.testing.assert_array_equal(result.label, _expected(model, scaled))
    assert len(np.unique(result.label)) > 1


def test_the_size_at_which_windows_start_is_told(model, tmp_path, monkeypatch) -> None:
    """What is printed is what is done: below that size at once, above it in windows."""
    small, large = tmp_path / 'small.png', tmp_path / 'large.png'
    cv2.imwrite(str(small), _bgr(40, 40))
    cv2.imwrite(str(large), _bgr(1100, 1000))
    assert tell_windows(model, [small]) is None
    monkeypatch.setattr(estimate, 'free_memory', lambda *_: 2_000_000_000)
    line = tell_windows(model, [small, large])
    found = re.fullmatch(
        r'2.0 GB of memory are free: images above about (\d+)x(\d+) pixels are '
        'predicted in windows',
        line,
    )
    side = int(found[1])
    assert side % 64 == 0 and found[1] == found[2]
    memory = Memory(model)
    for length, whole in ((0.97 * side, True), (1.06 * side, False)):
        image = torch.empty((3, int(length), int(length)), dtype=torch.uint8, device='meta')
        plan = memory.plan(image, dict(ori_shape=image.shape[1:]), held=0)
        assert (plan is None) is whole, length


def test_a_small_geotiff_keeps_its_place_and_areas_are_counted(model, tmp_path) -> None:
    path, plain, out = tmp_path / 'a.tif', tmp_path / 'b.tif', tmp_path / 'out'
    tifffile.imwrite(path, _bgr(40, 60)[..., ::-1], photometric='rgb', extratags=GEO)
    tifffile.imwrite(plain, _bgr(40, 60)[..., ::-1], photometric='rgb')
    assert predict_to_folder(model, [path, plain], out) == []
    (expected,) = predict(model, [path])
    mask = Image.open(out / 'masks/a.tif')
    np.testing.assert_array_equal(np.asarray(mask), expected.label)
    assert tags_of(out / 'masks/a.tif') == tags_of(path) and len(tags_of(path)) == 3
    assert (out / 'masks/b.png').is_file()
    lines = (out / 'areas.csv').read_text().splitlines()[1:]
    counts = [int((expected.label == index).sum()) for index in range(3)]
    assert [int(line.split(',')[2]) for line in lines] == counts * 2
    areas = [line.split(',')[4] for line in lines]
    assert areas == [f'{count / 4:.10g}' for count in counts] + [''] * 3


@pytest.mark.usefixtures('little_memory')
def test_areas_of_strips_are_those_of_the_mask(model, tmp_path) -> None:
    path, out = tmp_path / 'a.png', tmp_path / 'out'
    cv2.imwrite(str(path), _bgr())
    assert predict_to_folder(model, [path], out) == []
    mask = np.asarray(Image.open(out / 'masks/a.png'))
    assert _entry(out)['pixels'] == [int((mask == index).sum()) for index in range(3)]
