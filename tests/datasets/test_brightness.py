"""Brightness and contrast of any image: the formula, the depth, and how often."""

import numpy as np
import pytest

from mmseg_ext.datasets.brightness import BrightnessContrast


@pytest.mark.parametrize('shape', [(4, 5), (4, 5, 1), (4, 5, 4)])
def test_values_follow_the_formula_at_their_own_depth(shape):
    image = np.linspace(0, 255, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    seen = set()
    for seed in range(40):
        np.random.seed(seed)
        found = BrightnessContrast().transform(dict(img=image))['img']
        np.random.seed(seed)
        wanted, done = image.astype(np.float64), ''
        if np.random.rand() < 0.5:
            wanted, done = np.clip(wanted + np.random.uniform(-32, 32), 0, 255), done + 'b'
        if np.random.rand() < 0.5:
            wanted, done = np.clip(wanted * np.random.uniform(0.5, 1.5), 0, 255), done + 'c'
        seen.add(done)
        assert found.dtype == np.float32 and found.shape == shape
        np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert seen == {'', 'b', 'c', 'bc'}


def test_bytes_stay_bytes():
    np.random.seed(1)
    image = np.full((2, 2, 4), 250, np.uint8)
    for _ in range(20):
        found = BrightnessContrast().transform(dict(img=image))['img']
        assert found.dtype == np.uint8
    assert (image == 250).all()
