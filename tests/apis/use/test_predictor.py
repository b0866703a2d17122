"""Predictor: of any model, on files and arrays alike; what it says of what it cannot take."""

from dataclasses import fields

import cv2
import numpy as np
import pytest
from PIL import Image
from support.tools import load_tool

import mmseg_ext
from mmseg_ext import apis
from mmseg_ext.apis.predict import memory as estimate
from mmseg_ext.apis.predict.crf import refine_folder
from mmseg_ext.apis.predict.predictor import Failure, predict
from mmseg_ext.apis.run.outcome.listing import read_predictions
from mmseg_ext.models.layers.dense_crf import SETTINGS


@pytest.fixture(scope='module')
def checkpoint(tiny_config, random_weights, tmp_path_factory):
    return random_weights(tiny_config, tmp_path_factory.mktemp('weights') / 'a.pth')


@pytest.fixture(scope='module')
def predictor(tiny_config, checkpoint):
    return apis.Predictor(tiny_config, checkpoint, device='cpu')


def _same(one, other):
    for field in fields(one):
        if field.name != 'path':
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


@pytest.fixture(scope='module')
def photo(tmp_path_factory):
    """A picture of no symmetry, 30x50, stored as PNG."""
    coarse = np.random.default_rng(3).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    path = tmp_path_factory.mktemp('photo') / 'ein bild ü.png'
    Image.fromarray(cv2.resize(coarse, (50, 30))).save(path)
    return path


def test_it_predicts_what_the_tool_predicts(predictor, tiny_data, tmp_path):
    assert predictor.classes == ['sky', 'tree', 'road']
    image = tiny_data / 'img' / '1.png'
    (expected,) = predict(predictor.model, [image], keep_prob=True)
    one = predictor(image, keep_prob=True)
    _same(one, expected)
    assert one.prob.shape == (3, 40, 40) and one.prob.dtype == np.float16
    again = apis.Predictor(predictor.model)([str(image), tmp_path / 'gone.png'])
    assert np.array_equal(again[0].label, expected.label) and again[0].prob is None
    assert isinstance(again[1], Failure) and 'gone.png' in again[1].reason


def test_arrays_and_pil_images_are_what_their_files_are(predictor, photo):
    expected = predictor(photo, keep_prob=True)
    rgb = np.asarray(Image.open(photo))
    assert len(np.unique(expected.label)) > 1
    assert (predictor(rgb[..., ::-1]).label != expected.label).any()  # colors are not mixed up
    every = predictor([photo, rgb, Image.open(photo)], keep_prob=True)
    for result in every:
        _same(result, expected)
    assert [str(result.path) for result in every] == [str(photo), 'image 1', 'image 2']
    grey = rgb[..., 0]
    _same(predictor(grey), predictor(np.repeat(grey[..., None], 3, 2)))
    _same(predictor(Image.fromarray(grey)), predictor(grey))


def test_a_pil_image_is_turned_upright_as_its_file_is(predictor, photo, tmp_path):
    for name, mode in (('turned.jpg', 'RGB'), ('print.jpg', 'CMYK'), ('few.png', 'P')):
        exif = Image.Exif()
        exif[274] = 6 if name == 'turned.jpg' else 1  # turned by 90 degrees
        Image.open(photo).convert(mode).save(tmp_path / name, exif=exif)
    turned = predictor(Image.open(tmp_path / 'turned.jpg'))
    assert turned.label.shape == (50, 30)
    _same(turned, predictor(tmp_path / 'turned.jpg'))
    _same(predictor(Image.open(tmp_path / 'few.png')), predictor(tmp_path / 'few.png'))
    # CMYK: the two libraries round the colors in different ways
    close = predictor(Image.open(tmp_path / 'print.jpg')).picture.astype(int)
    assert np.abs(close - predictor(tmp_path / 'print.jpg').picture).max() <= 2


def test_areas_are_counts_of_the_labels(predictor, photo):
    result = predictor(photo)
    assert sum(area.pixels for area in result.areas.values()) == 1500
    for index, name in enumerate(('sky', 'tree', 'road')):
        assert result.areas[name].pixels == (result.label == index).sum()
        assert result.areas[name].share == (result.label == index).mean()
        assert result.areas[name].square_metres is None


def test_channels_are_those_of_the_model(tiny_config, random_weights, tmp_path):
    config = tmp_path / 'deep.py'
    config.write_text(f"""
_base_ = {str(tiny_config)!r}
model = dict(backbone=dict(in_channels=4), data_preprocessor=dict(
    mean=[127.5] * 4, std=[127.5] * 4, bgr_to_rgb=False))
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImage', channels=4, max_value=4095), dict(type='PackSegInputs')]))
""")
    deep = apis.Predictor(config, random_weights(config, tmp_path / 'w.pth'), device='cpu')
    array = np.random.default_rng(0).integers(0, 4096, (24, 24, 4)).astype(np.uint16)
    import tifffile

    file = tmp_path / 'a.tif'
    tifffile.imwrite(file, array, photometric='minisblack', planarconfig='contig')
    _same(deep(array, keep_prob=True), deep(file, keep_prob=True))
    with pytest.raises(ValueError, match='image 0: the image has 3 channels.* expect 4'):
        deep(array[..., :3])
    bad = array.astype(float)
    bad[5, 7, 1] = np.nan
    with pytest.raises(ValueError, match='image 0: 1 pixels are NaN .* row 5, column 7'):
        deep(bad)


def _files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob('*.*') if p.is_file()}


def test_the_tool_and_python_write_the_same_bytes(
    tiny_config, tiny_data, checkpoint, photo, tmp_path, monkeypatch
):
    """All options at once, on images of two sizes."""
    images = [photo, *sorted((tiny_data / 'img').iterdir())[:2]]
    options = ['--tta', '--uncertainty', '2', '--batch', '2', '--prob']
    words = [str(tiny_config), str(checkpoint), *map(str, images), '--out', str(tmp_path / 'tool')]
    monkeypatch.setattr('sys.argv', ['predict.py', *words, '--device', 'cpu', *options])
    assert load_tool('predict').main() == 0
    model = apis.Predictor(tiny_config, checkpoint, device='cpu', tta=True, passes=2, batch=2)
    source = dict(config=str(tiny_config), checkpoint=str(checkpoint))
    assert model.to_folder(images, tmp_path / 'python', keep_prob=True, source=source) == []
    files = _files(tmp_path / 'tool')
    assert files == _files(tmp_path / 'python') and len(files) == 3 * 7 + 2
    for result, entry in zip(
        model(images, keep_prob=True),
        read_predictions(tmp_path / 'tool/predictions.json')['images'],
    ):
        mask = np.asarray(Image.open(tmp_path / 'tool' / entry['mask']))
        np.testing.assert_array_equal(mask, result.label)
        np.testing.assert_array_equal(
            np.load(tmp_path / 'tool' / entry['prob'])['prob'], result.prob
        )
        for kind in ('entropy', 'bald'):
            values = np.load(tmp_path / 'tool' / entry[kind])[kind]
            np.testing.assert_array_equal(values, result.maps[kind])


@pytest.mark.parametrize('form', [dict(fast=True), dict(amp=True)], ids=['fast', 'half'])
def test_other_forms_predict_as_the_plain_model(form, tiny_config, checkpoint, photo, half):
    plain = apis.Predictor(tiny_config, checkpoint, device='cpu')(photo, keep_prob=True)
    model = apis.Predictor(tiny_config, checkpoint, device='cpu', **form)
    found, alone = model(photo, keep_prob=True), model(photo)
    near = 1e-3 if 'fast' in form else 0.1
    assert np.abs(found.prob.astype(float) - plain.prob.astype(float)).max() < near
    np.testing.assert_array_equal(found.label, found.prob.argmax(0))
    assert (alone.label == found.label).mean() > 0.99 and alone.prob is None
    assert model.classes == ['sky', 'tree', 'road']


def test_a_model_without_a_fast_form_is_refused(tiny_config, checkpoint):
    model = apis.Predictor(tiny_config, checkpoint, device='cpu', tta=True).model
    with pytest.raises(ValueError, match='no fast form: leave out fast'):
        apis.Predictor(model, fast=True)


def test_the_crf_is_that_of_the_tool_and_of_the_test(
    tiny_config, checkpoint, predictor, photo, tmp_path
):
    setting = dict(SETTINGS['deeplabv2_vgg16'], iterations=3)
    refining = apis.Predictor(predictor.model, crf=setting)
    assert refining.to_folder([photo], tmp_path / 'a', keep_prob=True) == []
    assert predictor.to_folder([photo], tmp_path / 'b', keep_prob=True) == []
    refine_folder(tmp_path / 'b', tmp_path / 'c', setting=setting, keep_prob=True)
    name = photo.stem
    for file in (f'masks/{name}.png', f'overlays/{name}.png', f'prob/{name}.npz'):
        assert (tmp_path / 'a' / file).read_bytes() == (tmp_path / 'c' / file).read_bytes(), file
    plain = np.asarray(Image.open(tmp_path / f'b/masks/{name}.png'))
    label = refining(photo).label
    assert (plain != label).any()
    options = {'model.type': 'CRFEncoderDecoder', 'model.crf': dict(setting, type='DenseCRF')}
    tested = apis.Predictor(tiny_config, checkpoint, device='cpu', cfg_options=options)
    assert (tested(photo).label == label).mean() > 0.995  # of single, not half precision
    with pytest.raises(ValueError, match='a CRF of its own: leave --crf out'):
        apis.Predictor(tested.model, crf='deeplabv2_vgg16')
    with pytest.raises(ValueError, match='crf'):
        apis.Predictor(predictor.model, crf='deeplab')


def test_a_crf_does_without_windows(predictor, photo, monkeypatch):
    monkeypatch.setattr(estimate, 'SMALL', 1000)
    monkeypatch.setattr(estimate, 'free_memory', lambda *_: 100_000)
    with pytest.raises(ValueError, match='windows will not do, as a dense CRF refines an image'):
        apis.Predictor(predictor.model, crf='deeplabv2_vgg16')(photo)


@pytest.mark.parametrize(
    'image, kind, words',
    [
        (np.zeros((4, 5, 3)), ValueError, r'give RGB .* not \(4, 5, 3\) of float64'),
        (np.zeros((4, 5, 4), np.uint8), ValueError, r'not \(4, 5, 4\) of uint8'),
        (np.zeros((2, 4, 5, 3), np.uint8), ValueError, r'\(H, W, C\), this is \(2, 4, 5, 3\)'),
        (np.zeros((0, 5, 3), np.uint8), ValueError, 'this is'),
        (Image.new('I;16', (4, 5)), ValueError, r'not \(5, 4, 1\) of uint16'),
        (3, TypeError, 'not of type int: .3.'),
    ],
)
def test_what_is_no_image_of_the_model_is_said(predictor, image, kind, words):
    with pytest.raises(kind, match=words):
        predictor(image)


def test_what_it_cannot_do_is_said(tiny_config, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match='no checkpoint .* give a checkpoint after .*tiny'):
        apis.Predictor(tiny_config)
    with pytest.raises(AttributeError, match='no attribute'):
        mmseg_ext.Predicter  # noqa: B018
    broken = tmp_path / 'broken.png'
    broken.write_bytes(b'no picture')
    with pytest.raises(ValueError, match='broken.png'):
        apis.Predictor(tiny_config, checkpoint, device='cpu')(broken)
