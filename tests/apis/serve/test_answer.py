"""The answer is what tools/predict.py writes, bit for bit; what else it holds is of the arrays."""

import base64
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from support.serving import spread_classes
from support.tools import load_tool

from mmseg_ext.apis.serve.answer import Answerer, Question, unpack
from mmseg_ext.apis.serve.limits import Limits
from mmseg_ext.apis.serve.problems import RequestError
from mmseg_ext.apis.use import Predictor

SIZE = (33, 48)  # height and width
PLACE = [
    (33550, 'd', 3, (0.5, 0.5, 0.0), True),
    (33922, 'd', 6, (0.0, 0.0, 0.0, 5e5, 5.2e6, 0.0), True),
    (34735, 'H', 8, (1, 1, 0, 1, 3076, 0, 1, 9001), True),
]


def _rgb() -> np.ndarray:
    coarse = np.random.default_rng(3).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    return cv2.resize(coarse, SIZE[::-1])


def _write_images(folder):
    """Files of every kind that is read in a way of its own."""
    folder.mkdir()
    image, exif = Image.fromarray(_rgb()), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image.save(folder / 'plain.png')
    image.save(folder / 'turned.jpg', exif=exif)
    image.save(folder / 'turned_png.png', exif=exif)
    image.convert('L').save(folder / 'grey.png')
    image.convert('P').save(folder / 'palette.gif')
    image.save(folder / 'lossless.webp', lossless=True)
    tifffile.imwrite(folder / 'earth.tif', _rgb(), photometric='rgb', extratags=PLACE)
    tifffile.imwrite(folder / 'plain.tif', _rgb().astype(np.uint16) << 8, photometric='rgb')
    return folder


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return _write_images(tmp_path_factory.mktemp('images') / 'images')


@pytest.fixture(scope='module')
def checkpoint(tiny_config, random_weights, tmp_path_factory, images):
    path = random_weights(tiny_config, tmp_path_factory.mktemp('weights') / 'a.pth')
    return spread_classes(tiny_config, path, images / 'plain.png')


@pytest.fixture(scope='module')
def answerer(tiny_config, checkpoint):
    found = Answerer(Predictor(tiny_config, checkpoint, device='cpu'), Limits())
    yield found
    found.close()


@pytest.fixture(scope='module')
def written(tiny_config, checkpoint, images, tmp_path_factory):
    """The folder of what the tool writes of them."""
    out = tmp_path_factory.mktemp('predicted') / 'out'
    words = ['predict.py', tiny_config, checkpoint, images, '--device=cpu', '--out', out]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('sys.argv', [*map(str, words)])
        assert load_tool('predict').main() == 0
    return out


def test_it_is_what_the_tool_writes_bit_for_bit(answerer, images, written):
    entries = json.loads((written / 'predictions.json').read_text())
    assert len(entries['images']) == 8
    for entry in entries['images']:
        name = entry['image'].rpartition('/')[2]
        answer = answerer(Question((images / name).read_bytes()))
        assert (
            base64.b64decode(answer['mask']['base64']) == (written / entry['mask']).read_bytes()
        ), name
        is_tiff = entry['mask'].endswith('.tif')
        assert is_tiff is (name == 'earth.tif') is (answer['mask']['type'] == 'image/tiff')
        assert answer['pixels'] == entry['pixels'] and sum(answer['pixels']) == np.prod(SIZE)
        assert answer.get('pixel_area') == entry.get('pixel_area') == (0.25 if is_tiff else None)
        assert (answer['classes'], answer['palette']) == (entries['classes'], entries['palette'])
        turned = name.startswith('turned')
        assert (answer['height'], answer['width']) == (SIZE[::-1] if turned else SIZE), name


def test_the_file_holds_exact_values_and_the_palette(answerer, images, tmp_path):
    answer = answerer(Question((images / 'turned_png.png').read_bytes(), details=True))
    file = Image.open(io.BytesIO(base64.b64decode(answer['mask']['base64'])))
    assert file.mode == 'P' and file.getpalette()[:9] == sum(answer['palette'], [])
    upright = tmp_path / 'upright.png'
    Image.fromarray(np.rot90(_rgb(), -1)).save(upright)  # orientation 6: by 90 degrees, clockwise
    expected = answerer.predictor(upright, keep_prob=True)
    assert len(np.unique(expected.label)) == 3
    np.testing.assert_array_equal(np.asarray(file), expected.label)
    shape = expected.label.shape
    np.testing.assert_array_equal(unpack(answer['labels'], shape), expected.label)
    confidence = unpack(answer['confidence'], shape)
    assert confidence.dtype == np.float16
    for row, column in np.ndindex(shape):
        assert confidence[row, column] == expected.prob[expected.label[row, column], row, column]
    assert confidence.min() > 0.33 and (confidence == expected.prob.max(axis=0)).all()
    picture = Image.open(io.BytesIO(base64.b64decode(answer['picture']['base64'])))
    np.testing.assert_allclose(np.asarray(picture, int), np.rot90(_rgb(), -1), atol=60)


def test_without_room_for_probabilities_labels_are_there(answerer, images, monkeypatch):
    """An image that is predicted in windows has no probabilities."""
    data = (images / 'plain.png').read_bytes()
    expected = answerer(Question(data, details=True))
    predictor = answerer.predictor

    def call(path, keep_prob=False):
        if keep_prob:
            raise ValueError('at once it takes about 9.9 GB: leave --prob out')
        return predictor(path)

    call.model = predictor.model
    monkeypatch.setattr(answerer, 'predictor', call)
    answer = answerer(Question(data, details=True))
    assert answer['confidence'] is None and answer['labels'] == expected['labels']
    assert answer['mask'] == expected['mask']


def _bands(count: int) -> bytes:
    buffer, values = io.BytesIO(), np.arange(6 * 6 * count, dtype=np.uint8).reshape(6, 6, count)
    tifffile.imwrite(buffer, values, photometric='minisblack', planarconfig='contig')
    return buffer.getvalue()


def _gif() -> bytes:
    buffer, frames = io.BytesIO(), [Image.new('L', (9, 9), value) for value in (10, 200)]
    frames[0].save(buffer, 'GIF', save_all=True, append_images=frames[1:])
    return buffer.getvalue()


@pytest.mark.parametrize('data, text', [
    (_bands(5), 'the image: the image is 5 x uint8, and the rows read 8-bit color'),
    (_gif(), 'the image: the file has 2 pages or frames'),
])  # fmt: skip
def test_what_cannot_be_predicted_is_one_line_and_leaves_nothing(answerer, data, text):
    with pytest.raises(RequestError, match=text) as told:
        answerer(Question(data, details=True))
    assert told.value.status == 422 and '/' not in told.value.message.partition(':')[0]
    assert [*Path(answerer._folder.name).iterdir()] == []
