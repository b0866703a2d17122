"""Images to try: of the test data if they are here, else drawn; nothing a model cannot take."""

import io

import cv2
import numpy as np
from mmengine.config import Config
from PIL import Image

from mmseg_ext.apis.serve.limits import Limits
from mmseg_ext.apis.serve.samples import find_samples
from mmseg_ext.datasets.shapes import draw_image


def test_they_are_of_the_test_data(tiny_config, tiny_data):
    found = find_samples(Config.fromfile(tiny_config), Limits(), count=3)
    assert 'tested on' in found.origin
    assert [sample.name for sample in found.images] == ['0.png', '2.png', '4.png']
    for sample in found.images:
        assert sample.data == (tiny_data / 'img' / sample.name).read_bytes()
        assert Image.open(io.BytesIO(sample.thumb)).size == (40, 40)
    largest = max((tiny_data / 'img').iterdir(), key=lambda path: path.stat().st_size)
    few = find_samples(Config.fromfile(tiny_config), Limits(megabytes=1e-4))
    assert largest.stat().st_size > 100 and 'drawn' in few.origin  # all are above that limit


def test_else_they_are_drawn(tiny_config, tmp_path):
    cfg = Config.fromfile(tiny_config)
    cfg.test_dataloader.dataset.data_root = str(tmp_path / 'gone')
    exported = Config(dict(test_pipeline=[dict(type='LoadImageFromFile')]))
    for config in (cfg, exported):
        found = find_samples(config, Limits(), count=2)
        assert 'drawn' in found.origin and len(found.images) == 2
        for index, sample in enumerate(found.images):
            pixels = cv2.imdecode(np.frombuffer(sample.data, np.uint8), cv2.IMREAD_COLOR)
            np.testing.assert_array_equal(pixels, draw_image(index, size=320)[0])
            assert Image.open(io.BytesIO(sample.thumb)).size == (240, 240)


def test_other_channels_are_not_drawn():
    cfg = Config(dict(test_pipeline=[dict(type='LoadImage', channels=4)]))
    assert find_samples(cfg, Limits()).images == []
