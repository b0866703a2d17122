"""Windows: against mmseg's sliding windows, and the estimate that decides about them."""

import json
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from mmseg_ext.apis.predict import memory as estimate
from mmseg_ext.apis.predict import predictor as module
from mmseg_ext.apis.predict.memory import Memory, free_memory
from mmseg_ext.apis.predict.output import predict_to_folder
from mmseg_ext.apis.predict.predictor import Failure, predict
from mmseg_ext.apis.predict.strips import predict_windows
from mmseg_ext.apis.predict.windows import (
    Windows,
    _Sums,
    blended_blocks,
    even_starts,
    starts,
)
from mmseg_ext.apis.run.load import load_model


@pytest.fixture(scope='module')
def weights(tmp_path_factory, tiny_config, random_weights) -> Path:
    return random_weights(tiny_config, tmp_path_factory.mktemp('windows') / 'w.pth')


def _image(height: int, width: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(height * width)
    coarse = torch.rand(1, 3, 9, 11, generator=random) * 255
    return torch.nn.functional.interpolate(coarse, (height, width))[0].to(torch.uint8)


def _sample(image: torch.Tensor):
    from mmseg.structures import SegDataSample

    size = tuple(image.shape[-2:])
    return SegDataSample(metainfo=dict(ori_shape=size, img_shape=size, img_path='x.png'))


@pytest.mark.parametrize('crop, stride', [((64, 48), (20, 33)), ((64, 64), (64, 64))])
@pytest.mark.parametrize('size', [(97, 130), (64, 40), (150, 90)])
def test_windows_equal_mmsegs_sliding_windows(tiny_config, weights, size, crop, stride) -> None:
    test_cfg = dict(mode='slide', crop_size=crop, stride=stride)
    options = {f'model.test_cfg.{key}': value for key, value in test_cfg.items()}
    model = load_model(tiny_config, weights, device='cpu', cfg_options=options)
    image = _image(*size)
    with torch.no_grad():
        whole = model.test_step(dict(inputs=[image], data_samples=[_sample(image)]))[0]
        labels = predict_windows(model, image, _sample(image), Windows(crop, stride)).label
    np.testing.assert_array_equal(labels, whole.pred_sem_seg.data[0].numpy())
    assert len(np.unique(labels)) > 1


def test_one_smooth_window_is_the_whole_image(tiny_config, weights) -> None:
    model = load_model(tiny_config, weights, device='cpu')
    image = _image(50, 61)
    with torch.no_grad():
        whole = model.test_step(dict(inputs=[image], data_samples=[_sample(image)]))[0]
        cut = Windows((64, 64), (48, 48), smooth=True)
        labels = predict_windows(model, image, _sample(image), cut).label
    np.testing.assert_array_equal(labels, whole.pred_sem_seg.data[0].numpy())


def test_uncertainty_and_single_channels_go_through_windows(tiny_config, weights) -> None:
    """The mean of what one window says is what it says: dropout at rate 0 repeats itself."""

    class Half(torch.nn.Module):
        """One channel whose value is the brightness of the image."""

        decode_head = type('Head', (), dict(threshold=0.4))

        def test_step(self, data):
            from mmengine.structures import PixelData

            result = data['data_samples'][0]
            grey = data['inputs'][0].float().mean(0, keepdim=True) / 255
            result.set_data(dict(seg_logits=PixelData(data=grey)))
            result.set_data(dict(uncertainty=PixelData(data=grey / 2)))
            return [result]

    image = _image(70, 45)
    cut = Windows((32, 32), (24, 24), smooth=True)
    strip = predict_windows(Half(), image, _sample(image), cut, keep_prob=True)
    grey = image.float().mean(0).numpy() / 255
    np.testing.assert_array_equal(strip.label, grey > 0.4)
    np.testing.assert_allclose(strip.maps['uncertainty'], grey / 2, atol=1e-6)
    np.testing.assert_allclose(strip.prob, [1 - grey, grey], atol=1e-3)  # float16


@pytest.mark.parametrize('length, size, stride', [(10, 4, 3), (3, 4, 3), (8, 4, 4), (9, 4, 4)])
def test_starts_cover_every_pixel(length, size, stride) -> None:
    covered = np.zeros(length, int)
    for start in starts(length, size, stride):
        covered[start : start + size] += 1
    assert covered.min() >= 1 and starts(length, size, stride)[-1] == max(0, length - size)


def _measured_peak(model, image: torch.Tensor) -> int:
    from mmseg_ext.apis.run.network.live_bytes import LiveBytes

    with torch.no_grad(), LiveBytes() as held:
        model.test_step(dict(inputs=[image], data_samples=[_sample(image)]))
    return held.peak


def test_the_estimate_is_what_tensors_take(tiny_config, weights) -> None:
    model = load_model(tiny_config, weights, device='cpu')
    image = _image(160, 224)
    guessed = Memory(model)._network(image, (160, 224))
    assert guessed == pytest.approx(_measured_peak(model, image), rel=0.02)


def test_a_large_image_goes_window_by_window(tiny_config, weights, tmp_path, monkeypatch) -> None:
    """Between what windows need and what the whole image needs; then below both."""
    import cv2

    model = load_model(tiny_config, weights, device='cpu')
    image = _image(300, 300)
    large, small = tmp_path / 'large.png', tmp_path / 'small.png'
    cv2.imwrite(str(large), image.permute(1, 2, 0).numpy())
    cv2.imwrite(str(small), image[:, :40, :40].permute(1, 2, 0).numpy())
    monkeypatch.setattr(estimate, 'SMALL', 2000)
    monkeypatch.setattr(estimate, '_SIDES', (128, 64))
    memory = Memory(model)
    need = memory.needed(image, (300, 300), False)
    monkeypatch.setattr(estimate, 'free_memory', lambda *_: 0.95 * need)
    said: list = []
    monkeypatch.setattr(module, 'print_log', lambda line, *_: said.append(line))
    (result,) = predict(model, [large])
    cut = Windows((128, 128), (96, 96), smooth=True)
    with torch.inference_mode():
        expected = predict_windows(model, image, _sample(image), cut).label
    np.testing.assert_array_equal(result.label, expected)
    assert f'{large} (300x300)' in said[0] and 'in windows of 128x128' in said[0]
    monkeypatch.setattr(estimate, 'free_memory', lambda *_: 0.1 * need)
    (failure,) = predict_to_folder(model, [large, small], tmp_path / 'out')
    assert '300x300' in failure.reason and str(large) in failure.reason
    listing = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert [entry['image'] for entry in listing['images']] == [str(small)]


def test_probabilities_of_an_image_that_does_not_fit_are_refused(
    tiny_config, weights, tmp_path, monkeypatch
) -> None:
    import cv2

    model = load_model(tiny_config, weights, device='cpu')
    path = tmp_path / 'x.png'
    cv2.imwrite(str(path), _image(80, 80).permute(1, 2, 0).numpy())
    monkeypatch.setattr(estimate, 'SMALL', 2000)
    monkeypatch.setattr(estimate, 'free_memory', lambda *_: 400_000)
    (result,) = predict(model, [path], keep_prob=True)
    assert isinstance(result, Failure) and '--prob' in result.reason and '80x80' in result.reason


def test_free_memory_sees_a_limit() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    assert free_memory() > 1 << 20
    try:
        resource.setrlimit(resource.RLIMIT_AS, (pages + (1 << 29), before[1]))
        assert free_memory() <= 1 << 29
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _blended_by_numpy(maps_of, image: np.ndarray, windows: Windows) -> np.ndarray:
    """Each pixel's weighted mean, all windows at once: whole sums, doubles, weights by formula."""
    height, width = image.shape[1:]
    high, wide = min(windows.size[0], height), min(windows.size[1], width)

    def weights(length: int) -> np.ndarray:
        if not windows.smooth:
            return np.ones(length)
        place = (np.arange(length) - (length - 1) / 2) / (length / 8)
        return np.maximum(np.exp(-(place**2) / 2), 1e-3)

    weight = weights(high)[:, None] * weights(wide)
    sums, total = 0.0, np.zeros((height, width))
    tops, lefts = windows.starts((height, width))
    for top in tops:
        for left in lefts:
            maps = maps_of(image[:, top : top + high, left : left + wide])
            here = np.zeros((len(maps), height, width))
            here[:, top : top + high, left : left + wide] = maps * weight
            sums = sums + here
            total[top : top + high, left : left + wide] += weight
    assert total.min() >= 1e-6  # every pixel is in a window
    return sums / total


@pytest.mark.parametrize('smooth', [True, False])
@pytest.mark.parametrize('size', [(97, 130), (33, 64), (20, 21), (64, 31), (129, 33)])
@pytest.mark.parametrize('window, stride', [((32, 32), (24, 24)), ((40, 24), (7, 24))])
def test_blending_in_strips_is_the_blend_of_the_whole(size, window, stride, smooth) -> None:
    windows = Windows(window, stride, smooth)
    image = np.random.default_rng(3).random((2, *size)).astype(np.float32)
    asked: list[tuple[int, int]] = []

    def maps_of(cut):  # differs from window to window, as what a network sees beyond a pixel does
        return np.stack([cut[0] - cut.mean(), cut[1] * cut[0].max(), cut[0] + cut[1].min()])

    def read(top: int, bottom: int) -> torch.Tensor:
        asked.append((top, bottom))
        return torch.from_numpy(image[:, top:bottom])

    def of_window(cut: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(maps_of(cut.numpy()))

    found, times = np.full((3, *size), np.nan), np.zeros(size, int)
    for block in blended_blocks(of_window, read, size, windows):
        rows = slice(block.top, block.top + block.maps.shape[1])
        columns = slice(block.left, block.left + block.maps.shape[2])
        found[:, rows, columns] = block.maps.numpy()
        times[rows, columns] += 1
    assert (times == 1).all()
    np.testing.assert_allclose(found, _blended_by_numpy(maps_of, image, windows), atol=1e-6)
    ends = [0, *(bottom for _, bottom in asked)]
    assert [top for top, _ in asked] == ends[:-1] and ends[-1] == size[0]  # each row is read once


def test_two_windows_by_hand() -> None:
    """Of 6 columns, windows of 4 that start at 0 and 2; the maps are 1 and 3."""
    values = iter([1.0, 3.0])
    windows = Windows((1, 4), (1, 2), smooth=True)
    (first, second) = blended_blocks(
        lambda cut: torch.full((1, 1, 4), next(values)),
        lambda top, bottom: torch.zeros(1, bottom - top, 6),
        (1, 6),
        windows,
    )
    # at distance 0.5 and 1.5 from the centre, with a standard deviation of 4 / 8
    near, far = np.exp(-0.5), np.exp(-4.5)
    mixed = [(near + 3 * far) / (near + far), (far + 3 * near) / (near + far)]
    np.testing.assert_allclose(first.maps[0, 0], [1, 1], atol=1e-6)
    np.testing.assert_allclose(second.maps[0, 0], [*mixed, 3, 3], atol=1e-6)


@pytest.mark.parametrize('length, expected', [
    (10, [0]), (16, [0]), (17, [0, 1]), (28, [0, 12]), (41, [0, 8, 17, 25]),
    (100, [0, 12, 24, 36, 48, 60, 72, 84]),
])  # fmt: skip
def test_smooth_windows_lie_at_equal_distances(length, expected) -> None:
    assert even_starts(length, 16, 12) == expected


def test_what_waits_for_later_windows_is_their_overlap() -> None:
    windows = Windows((64, 64), (48, 48), smooth=True)
    tops, lefts = windows.starts((1000, 5000))
    sums = _Sums(3, tops, lefts, windows.size, (1000, 5000))
    assert tuple(sums.below.shape) == (4, 18, 5000)  # windows start 46 or 47 rows apart
    assert tuple(sums.row.shape) == (4, 64, 64)
