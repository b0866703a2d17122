"""Predicting: against a forward pass by hand; files; what bad input does."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_ext.apis import pictures
from mmseg_ext.apis.checkpoints import read_checkpoint
from mmseg_ext.apis.load_model import choose_device, class_names, load_model
from mmseg_ext.apis.predict import (
    Failure,
    find_images,
    output_names,
    predict,
    predict_to_folder,
)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory, tiny_config: Path) -> Path:
    """Random weights of the tiny model, with a head that does not favour one class."""
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    torch.manual_seed(0)
    cfg = Config.fromfile(tiny_config)
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=1.0)
    with torch.no_grad():
        for _ in range(30):  # statistics for BN, or the signal dies on its way to the head
            coarse = torch.rand(4, 3, 5, 5) * 2 - 1
            model.decode_head(model.backbone(torch.nn.functional.interpolate(coarse, (40, 40))))
        features = model.decode_head.convs(model.backbone(coarse.repeat(1, 1, 8, 8))[3])
        centre = model.decode_head.conv_seg.weight[:, :, 0, 0] @ features.mean((0, 2, 3))
        model.decode_head.conv_seg.bias.copy_(-centre)
    path = tmp_path_factory.mktemp('weights') / 'tiny.pth'
    meta = dict(dataset_meta=dict(classes=('sky', 'tree', 'road'), palette=[[9, 8, 7]] * 3))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@pytest.fixture(scope='module')
def model(tiny_config: Path, checkpoint: Path) -> torch.nn.Module:
    return load_model(tiny_config, checkpoint, device='cpu')


def _picture(path: Path, height: int, width: int) -> Path:
    random = np.random.default_rng(height * 1000 + width)
    coarse = random.integers(0, 256, (5, 5, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.resize(coarse, (width, height)))
    return path


def _logits_by_hand(model: torch.nn.Module, path: Path) -> torch.Tensor:
    """Normalise, run the network, scale up: no pipeline, no preprocessor, no test_step."""
    rgb = np.asarray(Image.open(path).convert('RGB')).astype(np.float32)
    x = torch.from_numpy((rgb - 127.5) / 127.5).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = model.decode_head(model.backbone(x))
    size = rgb.shape[:2]
    return torch.nn.functional.interpolate(logits, size, mode='bilinear', align_corners=False)[0]


@pytest.mark.parametrize('size', [(40, 40), (37, 53), (20, 64)])
def test_prediction_equals_a_forward_by_hand(model, tmp_path, size) -> None:
    path = _picture(tmp_path / 'x.png', *size)
    (result,) = predict(model, [path], keep_prob=True)
    expected = _logits_by_hand(model, path)
    assert result.label.dtype == np.uint8
    np.testing.assert_array_equal(result.label, expected.argmax(0).numpy())
    np.testing.assert_allclose(result.prob, expected.softmax(0).numpy(), atol=1e-3)  # float16
    assert np.ptp(result.prob, axis=(1, 2)).max() > 0.05  # else the comparison would say little
    np.testing.assert_array_equal(result.picture, np.asarray(Image.open(path)))


def test_single_logit_gives_two_probabilities(model, tmp_path) -> None:
    """mmseg hands out the sigmoid of a single logit; both classes are written."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    from mmseg_ext.apis.predict import _collect

    sample = SegDataSample()
    sample.set_data(
        dict(
            seg_logits=PixelData(data=torch.tensor([[[0.2, 0.9]]])),
            pred_sem_seg=PixelData(data=torch.tensor([[[0.0, 1.0]]])),
        )
    )
    result = _collect(tmp_path, np.zeros((1, 2, 3), np.uint8), sample, True)
    np.testing.assert_allclose(result.prob, [[[0.8, 0.1]], [[0.2, 0.9]]], atol=1e-3)
    np.testing.assert_array_equal(result.label, [[0, 1]])


def test_probabilities_are_not_softened_twice() -> None:
    """A segmentor that refines probabilities returns those as its logits."""
    from mmseg_ext.apis.predict import to_prob

    given = torch.tensor([[[0.7, 0.0]], [[0.3, 1.0]]])
    assert torch.equal(to_prob(given), given)
    logits = torch.tensor([[[0.0]], [[3.0]]])
    expected = torch.tensor([[[1 / (1 + np.e**3)]], [[1 / (1 + np.e**-3)]]])
    torch.testing.assert_close(to_prob(logits), expected.float(), atol=1e-6, rtol=1e-5)


def test_uncertainty_is_written(tiny_config, checkpoint, tmp_path) -> None:
    options = {
        'model.type': 'MonteCarloEncoderDecoder',
        'model.num_passes': 3,
        'model.decode_head.dropout_ratio': 0.5,
    }
    uncertain = load_model(tiny_config, checkpoint, device='cpu', cfg_options=options)
    image = _picture(tmp_path / 'img' / 'a.png', 30, 40)
    torch.manual_seed(1)
    assert predict_to_folder(uncertain, [image], tmp_path / 'out') == []
    torch.manual_seed(1)
    (expected,) = predict(uncertain, [image])
    (entry,) = json.loads((tmp_path / 'out/predictions.json').read_text())['images']
    values = np.load(tmp_path / 'out' / entry['uncertainty'])['uncertainty']
    np.testing.assert_array_equal(values, expected.uncertainty)
    assert values.shape == (30, 40) and 0 < entry['highest_uncertainty'] == values.max() <= 0.25
    picture = np.asarray(Image.open(tmp_path / 'out/uncertainty/a.png'))
    np.testing.assert_allclose(picture[..., 0], 255 * values / values.max(), atol=0.51)


def test_a_model_without_uncertainty_writes_none(model, tmp_path) -> None:
    image = _picture(tmp_path / 'a.png', 30, 40)
    assert predict_to_folder(model, [image], tmp_path / 'out') == []
    assert not (tmp_path / 'out/uncertainty').exists()


def test_files_hold_indices_colours_and_probabilities(model, tmp_path) -> None:
    images = [_picture(tmp_path / 'in' / name, 20, 30) for name in ('a.png', 'sub/b.jpg')]
    assert predict_to_folder(model, images, tmp_path / 'out', prob=True) == []
    listing = json.loads((tmp_path / 'out' / 'predictions.json').read_text())
    assert listing['classes'] == ['sky', 'tree', 'road']
    assert [entry['mask'] for entry in listing['images']] == ['masks/a.png', 'masks/sub/b.png']
    for path, entry in zip(images, listing['images']):
        mask = Image.open(tmp_path / 'out' / entry['mask'])
        expected = next(predict(model, [path]))
        assert mask.mode == 'P'  # a viewer shows colours, a program reads indices
        np.testing.assert_array_equal(np.asarray(mask), expected.label)
        assert mask.getpalette()[:9] == [9, 8, 7] * 3
        painted = np.asarray(Image.open(tmp_path / 'out' / entry['overlay']))
        blend = expected.picture * 0.45 + np.array([9, 8, 7]) * 0.55
        np.testing.assert_allclose(painted, blend, atol=0.51)  # rounded to whole numbers
        prob = np.load(tmp_path / 'out' / entry['prob'])
        assert prob['classes'].tolist() == ['sky', 'tree', 'road']
        np.testing.assert_array_equal(prob['prob'].argmax(0), expected.label)
        np.testing.assert_allclose(prob['prob'].astype(float).sum(0), 1, atol=2e-3)


def test_background_stays_clear_in_the_overlay() -> None:
    image = np.full((1, 2, 3), 100, np.uint8)
    label = np.array([[0, 1]])
    painted = pictures.overlay(image, label, [[0, 0, 0], [200, 0, 0]], opacity=0.5, clear=0)
    assert painted.tolist() == [[[100, 100, 100], [150, 50, 50]]]


def test_error_picture_marks_wrong_and_ignored_pixels() -> None:
    image = np.zeros((1, 3, 3), np.uint8)
    shown = pictures.error_picture(image, np.array([[1, 1, 1]]), np.array([[1, 0, 255]]))
    assert shown.tolist() == [[[140, 140, 140], [214, 39, 40], [224, 224, 224]]]


def test_voc_palette_is_vocs() -> None:
    from mmseg.datasets import PascalVOCDataset

    assert pictures.voc_palette(21) == [list(c) for c in PascalVOCDataset.METAINFO['palette']]


def test_to_display_reorders_and_stretches() -> None:
    bgr = np.array([[[1, 2, 3]]], np.uint8)
    assert pictures.to_display(bgr).tolist() == [[[3, 2, 1]]]
    deep = np.array([[100, 1100, 2100]], np.uint16)
    assert pictures.to_display(deep)[0, :, 0].tolist() == [0, 128, 255]
    assert pictures.to_display(np.zeros((2, 2, 7), np.uint8)).shape == (2, 2, 3)


def test_bad_images_are_named_and_the_others_go_on(model, tmp_path) -> None:
    good = _picture(tmp_path / 'good.png', 16, 16)
    torn = tmp_path / 'torn.jpg'
    torn.write_bytes(b'\xff\xd8\xff\xe0 no picture')
    empty = tmp_path / 'empty.png'
    empty.touch()
    failures = predict_to_folder(model, [torn, good, empty], tmp_path / 'out')
    assert [failure.path for failure in failures] == [torn, empty]
    assert all(str(failure.path) in failure.reason for failure in failures)
    listing = json.loads((tmp_path / 'out' / 'predictions.json').read_text())
    assert [entry['mask'] for entry in listing['images']] == ['masks/good.png']
    written = sorted(path.name for path in (tmp_path / 'out').rglob('*') if path.is_file())
    assert written == ['good.png', 'good.png', 'predictions.json']


def test_out_of_memory_names_the_image(model, tmp_path, monkeypatch) -> None:
    path = _picture(tmp_path / 'large.png', 16, 24)

    def explode(data: dict) -> None:
        raise RuntimeError('out of memory\nlong trace')

    monkeypatch.setattr(model, 'test_step', explode)
    (result,) = predict(model, [path])
    assert isinstance(result, Failure)
    assert result.reason == f'{path} (24x16) cannot be predicted: out of memory'


def test_find_images_takes_files_and_folders(tmp_path) -> None:
    inside = [_picture(tmp_path / 'f' / name, 8, 8) for name in ('a.PNG', 'sub/b.jpg')]
    (tmp_path / 'f' / 'notes.txt').touch()
    odd = tmp_path / 'image.dat'
    odd.touch()
    assert find_images([tmp_path / 'f', odd, inside[0]]) == [*inside, odd]
    with pytest.raises(FileNotFoundError, match='nowhere.png does not exist'):
        find_images([tmp_path / 'nowhere.png'])
    (tmp_path / 'bare').mkdir()
    with pytest.raises(ValueError, match='bare holds no image'):
        find_images([tmp_path / 'bare'])


@pytest.mark.parametrize(
    'images, names',
    [
        (['d/a.jpg'], ['a']),
        (['d/a.jpg', 'd/b.png'], ['a', 'b']),
        (['d/one/a.jpg', 'd/two/a.jpg'], ['one/a', 'two/a']),
        (['d/a.jpg', 'd/a.png', 'd/b.png'], ['a.jpg', 'a.png', 'b']),
        ([], []),
    ],
)
def test_no_two_images_share_an_output(images, names) -> None:
    assert [path.as_posix() for path in output_names([Path(item) for item in images])] == names


def test_checkpoint_of_another_model_is_refused(tiny_config, checkpoint, tmp_path) -> None:
    options = {'model.decode_head.num_classes': 5}
    with pytest.raises(ValueError, match='another model.*decode_head.conv_seg'):
        load_model(tiny_config, checkpoint, device='cpu', cfg_options=options)


class _Bomb:
    def __reduce__(self) -> tuple:
        return os.mkdir, ('exploded',)


def test_checkpoint_runs_no_code(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict={}, meta=_Bomb()), 'bomb.pth')
    with pytest.raises(ValueError, match='bomb.pth'):
        read_checkpoint('bomb.pth')
    assert not Path('exploded').exists()


def test_unreadable_checkpoints_are_named(tmp_path, checkpoint) -> None:
    with pytest.raises(FileNotFoundError, match='no checkpoint .*gone.pth'):
        read_checkpoint(tmp_path / 'gone.pth')
    cut = tmp_path / 'cut.pth'
    cut.write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(ValueError, match='cut.pth'):
        read_checkpoint(cut)


def test_class_names_come_from_the_config_when_the_checkpoint_has_none(tiny_config) -> None:
    from mmengine.config import Config

    cfg = Config.fromfile(tiny_config)
    assert class_names(cfg, {}, 3)[0] == ['sky', 'tree', 'road']
    assert class_names(cfg, {}, 3)[1][0] == [0, 0, 255]
    names, colours = class_names(cfg, {}, 4)  # the data set has three classes, the model four
    assert names[3] == 'class 3' and colours == pictures.voc_palette(4)


def test_absent_device_is_refused() -> None:
    with pytest.raises(ValueError, match='--device cuda:99.*--device cpu'):
        choose_device('cuda:99')
    with pytest.raises(ValueError, match='--device gpu'):
        choose_device('gpu')


def test_tool_on_a_trained_checkpoint(tiny_config, tiny_data, tmp_path, python_tool) -> None:
    """What training writes loads with ``weights_only``; one bad image of three exits with 1."""
    from mmseg_ext.apis.training import load_config, train

    work_dir = tmp_path / 'run'
    train(load_config(tiny_config, options=dict(max_iters=2), work_dir=work_dir))
    torn = tmp_path / 'torn.jpg'
    torn.write_bytes(b'nothing')
    arguments = ['tools/predict.py', tiny_config, work_dir / 'iter_2.pth', torn]
    arguments += [tiny_data / 'img' / '0.png', tiny_data / 'img' / '1.png']
    done = python_tool(*arguments, '--out', tmp_path / 'out', check=False)
    assert done.returncode == 1
    assert '2 of 3 images predicted' in done.stdout
    assert f'1 of 3 images failed:\n  {torn} cannot be read as an image' in done.stderr
    assert 'Traceback' not in done.stderr
    masks = sorted((tmp_path / 'out' / 'masks').rglob('*.png'))
    assert [np.asarray(Image.open(mask)).shape for mask in masks] == [(40, 40)] * 2
