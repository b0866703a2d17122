"""Predicting: against a forward pass by hand; files; what bad input does."""

import json
import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from support.paths import ROOT

from mmseg_ext.apis.draw import pixels as pictures
from mmseg_ext.apis.predict.found import find_images
from mmseg_ext.apis.predict.output import predict_to_folder
from mmseg_ext.apis.predict.predictor import Failure, predict
from mmseg_ext.apis.run.checkpoints import read_checkpoint
from mmseg_ext.apis.run.load import choose_device, class_names, load_model
from mmseg_ext.core.files import output_names
from mmseg_ext.core.labels import voc_palette


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory, tiny_config: Path, random_weights) -> Path:
    path = tmp_path_factory.mktemp('weights') / 'tiny.pth'
    meta = dict(dataset_meta=dict(classes=('sky', 'tree', 'road'), palette=[[9, 8, 7]] * 3))
    return random_weights(tiny_config, path, meta=meta)


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

    from mmseg_ext.apis.predict.predictor import _collect

    sample = SegDataSample()
    sample.set_data(
        dict(
            seg_logits=PixelData(data=torch.tensor([[[0.2, 0.9]]])),
            pred_sem_seg=PixelData(data=torch.tensor([[[0.0, 1.0]]])),
        )
    )
    result = _collect(tmp_path, np.zeros((1, 2, 3), np.uint8), sample, True, ('a', 'b'))
    np.testing.assert_allclose(result.prob, [[[0.8, 0.1]], [[0.2, 0.9]]], atol=1e-3)
    np.testing.assert_array_equal(result.label, [[0, 1]])


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
    np.testing.assert_array_equal(values, expected.maps['uncertainty'])
    assert values.shape == (30, 40) and 0 < entry['highest_uncertainty'] == values.max() <= 0.25
    picture = np.asarray(Image.open(tmp_path / 'out/uncertainty/a.png'))
    np.testing.assert_allclose(picture[..., 0], 255 * values / values.max(), atol=0.51)


def test_a_model_without_uncertainty_writes_none(model, tmp_path) -> None:
    image = _picture(tmp_path / 'a.png', 30, 40)
    assert predict_to_folder(model, [image], tmp_path / 'out') == []
    assert not (tmp_path / 'out/uncertainty').exists()


def test_files_hold_indices_colors_and_probabilities(model, tmp_path) -> None:
    images = [_picture(tmp_path / 'in' / name, 20, 30) for name in ('a.png', 'sub/b.jpg')]
    assert predict_to_folder(model, images, tmp_path / 'out', prob=True) == []
    listing = json.loads((tmp_path / 'out' / 'predictions.json').read_text())
    assert listing['classes'] == ['sky', 'tree', 'road']
    assert [entry['mask'] for entry in listing['images']] == ['masks/a.png', 'masks/sub/b.png']
    for path, entry in zip(images, listing['images']):
        mask = Image.open(tmp_path / 'out' / entry['mask'])
        expected = next(predict(model, [path]))
        assert mask.mode == 'P'  # a viewer shows colors, a program reads indices
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


def test_an_overlay_is_the_weighted_mean_of_pixel_and_color() -> None:
    """By the definition, for all values, labels without a color and more rows than a strip has."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (3, 1 << 19, 3), np.uint8)
    label = random.choice(np.array([0, 1, 2, 7, 255], np.uint8), image.shape[:2])
    colors = {0: (9, 8, 7), 1: (255, 0, 33), 2: (1, 2, 3)}
    painted = pictures.overlay(image, label, list(colors.values()), clear=1)
    for index in (0, 1, 2, 7, 255):
        weight = 0 if index == 1 else 0.55
        color = np.array(colors.get(index, pictures.VOID))
        expected = (image[label == index] * (1 - weight) + color * weight).round()
        assert len(expected) > 1000
        np.testing.assert_array_equal(painted[label == index], expected)


def test_error_picture_marks_wrong_and_ignored_pixels() -> None:
    image = np.zeros((1, 3, 3), np.uint8)
    shown = pictures.error_picture(image, np.array([[1, 1, 1]]), np.array([[1, 0, 255]]))
    assert shown.tolist() == [[[140, 140, 140], [214, 39, 40], [224, 224, 224]]]


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
    assert written == ['areas.csv', 'good.png', 'good.png', 'predictions.json']


def test_out_of_memory_names_the_image(model, tmp_path, monkeypatch) -> None:
    path = _picture(tmp_path / 'large.png', 16, 24)

    def explode(data: dict) -> None:
        raise RuntimeError('out of memory\nlong trace')

    monkeypatch.setattr(model, 'test_step', explode)
    (result,) = predict(model, [path])
    assert isinstance(result, Failure)
    assert result.reason == f'{path} (24x16) cannot be predicted: out of memory'


def test_a_step_that_cannot_take_an_image_is_named(tiny_config, checkpoint, tmp_path) -> None:
    """1000x2 with its sides kept in proportion has no row left in 100x100."""
    model = load_model(tiny_config, checkpoint, device='cpu')
    steps = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(100, 100), keep_ratio=True)]
    model.cfg.test_dataloader.dataset.pipeline = [*steps, dict(type='PackSegInputs')]
    wide, good = _picture(tmp_path / 'w.png', 2, 1000), _picture(tmp_path / 'g.png', 60, 90)
    failure, result = predict(model, [wide, good])
    assert isinstance(failure, Failure) and result.label.shape == (60, 90)
    assert f'{wide} (1000x2) cannot be prepared by Resize of the test' in failure.reason


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
    names, colors = class_names(cfg, {}, 4)  # the data set has three classes, the model four
    assert names[3] == 'class 3' and colors == voc_palette(4)


def test_absent_device_is_refused() -> None:
    with pytest.raises(ValueError, match='--device cuda:99.*--device cpu'):
        choose_device('cuda:99')
    with pytest.raises(ValueError, match='--device gpu'):
        choose_device('gpu')


def test_tool_on_a_trained_checkpoint(tiny_config, tiny_data, tmp_path, python_tool) -> None:
    """What training writes loads with ``weights_only``; one bad image of three exits with 1."""
    from mmseg_ext.apis.run.config import load_config
    from mmseg_ext.apis.run.training import train

    work_dir = tmp_path / 'run'
    train(load_config(tiny_config, options=dict(max_iters=2), work_dir=work_dir))
    torn = tmp_path / 'torn.jpg'
    torn.write_bytes(b'nothing')
    arguments = ['tools/predict.py', tiny_config, work_dir / 'iter_2.pth', torn]
    arguments += [tiny_data / 'img' / '0.png', tiny_data / 'img' / '1.png']
    done = python_tool(*arguments, '--out', tmp_path / 'out', check=False)
    assert done.returncode == 1
    assert '2 of 3 images predicted' in done.stdout
    assert f'1 of 3 images failed:\n  {torn}' in done.stderr
    assert 'Traceback' not in done.stderr
    masks = sorted((tmp_path / 'out' / 'masks').rglob('*.png'))
    assert [np.asarray(Image.open(mask)).shape for mask in masks] == [(40, 40)] * 2


# ---- prepared as in testing


@pytest.fixture
def said(monkeypatch) -> list:
    """Lines of the log."""
    from mmseg_ext.apis.config import pipelines
    from mmseg_ext.apis.predict import found
    from mmseg_ext.apis.predict import predictor as module

    lines: list = []
    for place in (pipelines, module, found):
        monkeypatch.setattr(place, 'print_log', lambda line, *_, **__: lines.append(line))
    return lines


_LOADERS_ONLY = """
_base_ = {base!r}
steps = [dict(type='LoadImage', channels={channels}, max_value={largest}), dict(type='LoadLabels'),
         dict(type='PackSegInputs')]
data = dict(
    type='FolderDataset', data_root={root!r},
    data_prefix=dict(img_path='img', seg_map_path='mask'), pipeline=steps,
    metainfo=dict(classes=('sky', 'tree', 'road')))
test_dataloader = dict(dataset={dataset})
model = dict(backbone=dict(in_channels={channels}), data_preprocessor=dict(
    bgr_to_rgb=False, mean=[127.5] * {channels}, std=[127.5] * {channels}))
"""


def _deep_data(root: Path, channels: int) -> Path:
    """Three images of 12 bits in 16, PNG or TIFF of several bands, with masks."""
    import tifffile

    random = np.random.default_rng(channels)
    for part in ('img', 'mask'):
        (root / part).mkdir(parents=True)
    for index in range(3):
        coarse = random.integers(0, 4096, (6, 7, channels))
        image = np.repeat(np.repeat(coarse, 6, 0), 6, 1).astype(np.uint16)
        if channels == 3:
            cv2.imwrite(str(root / f'img/{index}.png'), image)
        else:
            tifffile.imwrite(
                root / f'img/{index}.tif', image, photometric='minisblack', planarconfig='contig'
            )
        mask = random.integers(0, 3, image.shape[:2]).astype(np.uint8)
        cv2.imwrite(str(root / f'mask/{index}.png'), mask)
    return root


def _tested(model: torch.nn.Module) -> dict:
    """Image to labels, by the loader and the model alone: what the test compares with."""
    from mmengine.runner import Runner

    loader = dict(model.cfg.test_dataloader, num_workers=0, persistent_workers=False)
    found = {}
    for batch in Runner.build_dataloader(loader):
        with torch.no_grad():
            for sample in model.test_step(batch):
                found[sample.img_path] = sample.pred_sem_seg.data[0].cpu().numpy()
    return found


@pytest.mark.parametrize('wrapped', [False, True])
@pytest.mark.parametrize('channels', [3, 5])
def test_predict_equals_test_where_only_loaders_are_set(
    tiny_config, random_weights, tmp_path, channels, wrapped
) -> None:
    root = _deep_data(tmp_path / 'data', channels)
    dataset = "dict(_delete_=True, type='RepeatDataset', times=1, dataset=data)"
    config = tmp_path / 'deep.py'
    config.write_text(
        _LOADERS_ONLY.format(
            base=str(tiny_config),
            root=str(root),
            channels=channels,
            largest=4095,
            dataset=dataset if wrapped else 'dict(_delete_=True, **data)',
        )
    )
    model = load_model(config, random_weights(config, tmp_path / 'w.pth'), device='cpu')
    expected = _tested(model)
    results = list(predict(model, sorted((root / 'img').iterdir())))
    assert len(results) == len(expected) == 3
    for result in results:
        np.testing.assert_array_equal(result.label, expected[str(result.path)])
    assert len(np.unique(np.concatenate([result.label for result in results]))) > 1


@pytest.mark.parametrize(
    'config, options',
    [
        ('survey/deeplabv3_mobilenetv2_camvid180.py', {}),
        ('fmsi/fmsi_mobilenetv2_camvid180.py', {}),
        ('mfp/mfp_mobilenetv2_vertebra.py', {'model.type': 'LetterboxEncoderDecoder'}),
    ],
)
def test_rows_predict_as_they_test(tmp_path, config, options) -> None:
    """Whatever a row's pipeline does to an image, both see the same."""
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    from mmseg_ext.apis.run.config import load_config

    root = tmp_path / 'data'
    random = np.random.default_rng(1)
    for part in ('img', 'mask'):
        (root / part).mkdir(parents=True)
    _picture(root / 'img/a.png', 70, 90)
    cv2.imwrite(str(root / 'mask/a.png'), random.integers(0, 2, (70, 90)).astype(np.uint8))
    path = ROOT / 'configs' / config
    options = dict(options, **{'model.backbone.init_cfg': None})
    cfg = load_config(path, options=options)
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=9.0)
    classes = [str(index) for index in range(max(2, model.num_classes))]
    model.dataset_meta = dict(classes=classes, palette=voc_palette(len(classes)))
    cfg.test_dataloader.dataset = dict(
        type='FolderDataset',
        data_root=str(root),
        data_prefix=dict(img_path='img', seg_map_path='mask'),
        metainfo=dict(classes=classes),
        pipeline=cfg.test_dataloader.dataset.pipeline,
    )
    model.cfg = cfg
    (result,) = predict(model, [root / 'img/a.png'])
    np.testing.assert_array_equal(result.label, _tested(model)[str(result.path)])


def test_a_pipeline_beside_the_loaders_is_told(tiny_config, checkpoint, tmp_path, said) -> None:
    """The loader wins, also in what mmseg's inference functions read of the model."""
    config = tmp_path / 'two.py'
    config.write_text(
        f'_base_ = {str(tiny_config)!r}\n'
        "test_pipeline = [dict(type='LoadImageFromFile'),"
        " dict(type='Resize', scale=(8, 8)), dict(type='PackSegInputs')]\n"
        "test_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile'),"
        " dict(type='LoadAnnotations'), dict(type='PackSegInputs')]))\n"
    )
    two = load_model(config, checkpoint, device='cpu')
    path = _picture(tmp_path / 'x.png', 40, 48)
    (result,) = predict(two, [path])
    np.testing.assert_array_equal(result.label, _logits_by_hand(two, path).argmax(0).numpy())
    assert any('test_pipeline of the config differs' in line for line in said)
    assert [step['type'] for step in two.cfg.test_pipeline] == [
        'LoadImageFromFile',
        'PackSegInputs',
    ]


# ---- names and lists


@pytest.mark.parametrize(
    'images, names',
    [
        (['d/x.jpg', 'd/x.png', 'd/x.jpg.png'], ['x.jpg', 'x.png', 'x.jpg.png']),
        (['d/y.png.png', 'd/y.png', 'd/y.tif'], ['y.png.png', 'y.png', 'y.tif']),
    ],
)
def test_a_name_that_is_taken_is_made_longer(images, names) -> None:
    assert [str(path) for path in output_names([Path(item) for item in images])] == names


def test_names_lie_below_the_folder_wherever_the_images_are(tmp_path, monkeypatch) -> None:
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    images = [Path(item) for item in ('a/0.png', '../b/0.png', '../../c/1.png')]
    names = [path.as_posix() for path in output_names(images)]
    parent = tmp_path.name
    assert names == [f'{parent}/here/a/0', f'{parent}/b/0', 'c/1']


def test_labels_of_the_user_are_not_written_over(model, tmp_path) -> None:
    path = _picture(tmp_path / 'set/images/x.png', 40, 48)
    label = tmp_path / 'set/masks/x.png'
    label.parent.mkdir()
    label.write_bytes(b'mine')
    message = 'set/masks/x.png is there already, and no earlier prediction'
    with pytest.raises(FileExistsError, match=message):
        predict_to_folder(model, [path], tmp_path / 'set')
    assert label.read_bytes() == b'mine'
    assert sorted(p.name for p in (tmp_path / 'set').iterdir()) == ['images', 'masks']
    label.rename(label.with_name('y.png'))  # in nobody's way
    for _ in range(2):  # and results of an earlier call are replaced
        assert predict_to_folder(model, [path], tmp_path / 'set') == []
    assert label.with_name('y.png').read_bytes() == b'mine'


def test_a_name_too_long_for_its_outputs_fails_alone(model, tmp_path) -> None:
    """Of two with one stem both keep their suffix, so that ``.png`` behind it is too much."""
    folder = tmp_path / 'in'
    pair = [_picture(folder / f'k{end}', 16, 16).rename(folder / f'{"k" * 251}{end}')
            for end in ('.bmp', '.png')]  # fmt: skip
    short = _picture(folder / 'short.png', 16, 16)
    fits = _picture(folder / 'f.bmp', 16, 16).rename(folder / f'{"f" * 251}.bmp')
    failures = predict_to_folder(model, [*pair, short, fits], tmp_path / 'out')
    assert [failure.path for failure in failures] == pair
    assert all(str(failure.path) in failure.reason for failure in failures)
    listing = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert [entry['image'] for entry in listing['images']] == [str(short), str(fits)]
    assert [entry['image'] for entry in listing['failed']] == list(map(str, pair))
    assert not list((tmp_path / 'out').rglob('*.part'))


def test_a_pipe_does_not_hang_and_what_is_left_out_is_named(model, tmp_path, said) -> None:
    folder = tmp_path / 'in'
    good = _picture(folder / 'good.png', 16, 16)
    for name in ('film.mp4', 'notes.txt'):
        (folder / name).touch()
    os.mkfifo(folder / 'pipe.png')
    assert find_images([folder]) == [good]
    assert all(name in said[0] for name in ('film.mp4', 'notes.txt', 'pipe.png'))
    results = list(predict(model, [folder / 'pipe.png', good]))
    assert isinstance(results[0], Failure) and 'pipe.png' in results[0].reason
    assert not isinstance(results[1], Failure)


def test_a_stopped_run_lists_what_it_has_done(model, tmp_path, monkeypatch) -> None:
    from mmseg_ext.apis.predict import output as module

    first, second = (_picture(tmp_path / name, 16, 16) for name in ('a.png', 'b.png'))
    write = module.write_prediction

    def stop_at_second(prediction, *args, **kwargs):
        if prediction.path == second:
            raise KeyboardInterrupt
        return write(prediction, *args, **kwargs)

    monkeypatch.setattr(module, 'write_prediction', stop_at_second)
    torn = tmp_path / 'torn.jpg'
    torn.write_bytes(b'no')
    with pytest.raises(KeyboardInterrupt):
        predict_to_folder(model, [torn, first, second], tmp_path / 'out')
    listing = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert [entry['image'] for entry in listing['images']] == [str(first)]
    assert [entry['image'] for entry in listing['failed']] == [str(torn)]


def test_threads_that_write_change_nothing_but_the_time(model, tmp_path, monkeypatch) -> None:
    from mmseg_ext.apis.predict import output as module

    images = [_picture(tmp_path / f'{i}.png', 20 + i, 24) for i in range(5)]
    images[2].write_bytes(b'no')
    found = {}
    for threads, beside in ((1, 0), (1, 1 << 26), (3, 1 << 26)):
        monkeypatch.setattr(module, '_idle_cores', lambda _, n=threads: n)
        monkeypatch.setattr(module, '_BESIDE', beside)
        out = tmp_path / f'{threads}_{beside}'
        assert len(predict_to_folder(model, images, out)) == 1
        files = {file.relative_to(out): file for file in out.rglob('*') if file.is_file()}
        found[threads, beside] = {name: file.read_bytes() for name, file in files.items()}
    direct, *others = found.values()
    assert len(direct) == 2 + 2 * 4 and others == [direct, direct]


def test_a_run_that_is_stopped_lists_what_was_being_written(model, tmp_path, monkeypatch) -> None:
    from mmseg_ext.apis.predict import output as module

    first, second = (_picture(tmp_path / name, 16, 16) for name in ('a.png', 'b.png'))
    stopped, write = threading.Event(), module.write_prediction

    def stop_at_second(*args, **kwargs):
        result = predict_each(*args, **kwargs)
        yield next(result)
        stopped.set()
        raise KeyboardInterrupt

    def slow(*args, **kwargs):
        assert stopped.wait(10)
        return write(*args, **kwargs)

    predict_each = module.predict_each
    monkeypatch.setattr(module, 'predict_each', stop_at_second)
    monkeypatch.setattr(module, 'write_prediction', slow)
    with pytest.raises(KeyboardInterrupt):
        predict_to_folder(model, [first, second], tmp_path / 'out')
    listing = json.loads((tmp_path / 'out/predictions.json').read_text())
    assert [entry['image'] for entry in listing['images']] == [str(first)]


@pytest.mark.parametrize(
    'cores, threads, on_gpu, expected',
    [(2, 2, False, 1), (2, 1, False, 1), (16, 8, False, 4), (6, 4, False, 2), (2, 2, True, 1),
     (4, 4, True, 3), (None, 1, False, 1)],
)  # fmt: skip
def test_cores_that_predicting_leaves_write(monkeypatch, cores, threads, on_gpu, expected) -> None:
    from mmseg_ext.apis.predict import output as module

    monkeypatch.setattr(os, 'cpu_count', lambda: cores)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: threads)
    network = torch.nn.Linear(1, 1, device='meta' if on_gpu else 'cpu')
    assert module._idle_cores(network) == expected
