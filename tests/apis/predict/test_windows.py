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
from mmseg_ext.apis.predict.windows import Windows, predict_windows, starts
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
        labels, _ = predict_windows(model, image, _sample(image), Windows(crop, stride))
    np.testing.assert_array_equal(labels, whole.pred_sem_seg.data[0].numpy())
    assert len(np.unique(labels)) > 1


def test_one_smooth_window_is_the_whole_image(tiny_config, weights) -> None:
    model = load_model(tiny_config, weights, device='cpu')
    image = _image(50, 61)
    with torch.no_grad():
        whole = model.test_step(dict(inputs=[image], data_samples=[_sample(image)]))[0]
        cut = Windows((64, 64), (48, 48), smooth=True)
        labels, _ = predict_windows(model, image, _sample(image), cut)
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
    labels, uncertainty = predict_windows(Half(), image, _sample(image), cut)
    grey = image.float().mean(0).numpy() / 255
    np.testing.assert_array_equal(labels, grey > 0.4)
    np.testing.assert_allclose(uncertainty, grey / 2, atol=1e-6)


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
    monkeypatch.setattr(estimate, '_SMALL', 2000)
    monkeypatch.setattr(estimate, '_SIDES', (128, 64))
    memory = Memory(model)
    need = memory.needed(image, (300, 300), False)
    monkeypatch.setattr(estimate, 'free_memory', lambda *_: 0.7 * need)
    said: list = []
    monkeypatch.setattr(module, 'print_log', lambda line, *_: said.append(line))
    (result,) = predict(model, [large])
    cut = Windows((128, 128), (96, 96), smooth=True)
    with torch.inference_mode():
        expected, _ = predict_windows(model, image, _sample(image), cut)
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
    monkeypatch.setattr(estimate, '_SMALL', 2000)
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
