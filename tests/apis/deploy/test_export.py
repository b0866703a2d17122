"""Exporting: files against forward passes by hand, at sizes of their own; what is refused."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmseg.models.utils import Upsample
from mmseg.models.utils.embed import AdaptivePadding
from PIL import Image
from torch import nn

from mmseg_ext.apis.deploy import formats, verify
from mmseg_ext.apis.deploy.choose import load_trained
from mmseg_ext.apis.deploy.export import export_model
from mmseg_ext.apis.deploy.exported import ExportedNetwork, is_exported, load_exported
from mmseg_ext.apis.deploy.facts import check_facts, facts_of
from mmseg_ext.apis.deploy.graph import LogitsGraph, check_exportable, recording
from mmseg_ext.apis.predict.memory import Memory
from mmseg_ext.apis.predict.predictor import Prediction, predict
from mmseg_ext.apis.run.load import load_model
from mmseg_ext.apis.use import Predictor
from mmseg_ext.core.words import message_of
from mmseg_ext.models.layers.swin import ShiftedWindowAttention
from mmseg_ext.models.segmentors import MaskRCNNSegmentor

SOURCE = dict(config='tiny.py', checkpoint='tiny.pth')
CLASSES = ('sky', 'tree', 'road')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory, tiny_config, random_weights) -> Path:
    path = tmp_path_factory.mktemp('weights') / 'tiny.pth'
    meta = dict(dataset_meta=dict(classes=CLASSES, palette=[[9, 8, 7], [1, 2, 3], [4, 5, 6]]))
    return random_weights(tiny_config, path, meta=meta)


@pytest.fixture(scope='module')
def model(tiny_config, checkpoint) -> nn.Module:
    return load_model(tiny_config, checkpoint, device='cpu')


@pytest.fixture(scope='module', params=['onnx', 'torch_export', 'torchscript', 'openvino'])
def exported(request, tmp_path_factory, model):
    """Each format's file of the tiny model."""
    try:
        formats.check_packages(request.param)
    except ImportError as error:
        pytest.skip(message_of(error))
    path = tmp_path_factory.mktemp('net') / f'net{formats.FORMATS[request.param].suffix}'
    return export_model(model, path, request.param, source=SOURCE)


def _files(path: Path) -> list[Path]:
    return formats.FORMATS[formats.format_of(path)].files(path)


def _picture(path: Path, height: int, width: int) -> Path:
    coarse = np.random.default_rng(height).integers(0, 256, (5, 5, 3)).astype(np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (width, height)))
    return path


def _by_hand(model, rgb: np.ndarray) -> np.ndarray:
    """Normalise with the numbers of the config, run the layers, scale up: no wrapper of ours."""
    x = (torch.from_numpy(rgb.astype(np.float32)) - 127.5) / 127.5
    with torch.no_grad():
        logits = model.decode_head(model.backbone(x.permute(2, 0, 1)[None]))
    return nn.functional.interpolate(logits, rgb.shape[:2], mode='bilinear').numpy()


@pytest.mark.parametrize('size', [(40, 56), (33, 71), (96, 64)])
def test_a_file_takes_red_green_blue_as_read(model, exported, size) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (*size, 3))
    run, _ = formats.FORMATS[formats.format_of(exported.path)].open(*_files(exported.path))
    image = rgb.astype(np.float32).transpose(2, 0, 1)[None]
    expected = _by_hand(model, rgb)
    found = run(np.concatenate([image, image[:, :, ::-1].copy()]))
    assert found.shape == (2, 3, *size)
    np.testing.assert_allclose(found[:1], expected, atol=1e-4 * np.abs(expected).max())
    assert np.abs(found[1] - expected[0]).max() > 0.1  # the second image is its own


def test_predictions_of_a_file_are_the_networks(model, exported, tmp_path) -> None:
    path = _picture(tmp_path / 'a.png', 37, 53)
    (mine,) = predict(load_exported(exported.path), [path], keep_prob=True)
    assert isinstance(mine, Prediction)
    expected = _by_hand(model, np.asarray(Image.open(path).convert('RGB')))
    np.testing.assert_array_equal(mine.label, expected[0].argmax(0))
    prob = torch.from_numpy(expected[0]).softmax(0).numpy()
    np.testing.assert_allclose(mine.prob, prob, atol=1e-3)  # float16
    predictor = Predictor(exported.path)
    assert predictor.classes == list(CLASSES)
    in_memory = predictor(np.asarray(Image.open(path)), keep_prob=True)
    np.testing.assert_array_equal(in_memory.prob, mine.prob)


def test_a_file_carries_what_predicting_needs(exported) -> None:
    assert is_exported(exported.path) and not is_exported('a.py')
    net = load_exported(exported.path)
    assert net.dataset_meta == dict(
        classes=list(CLASSES), palette=[[9, 8, 7], [1, 2, 3], [4, 5, 6]]
    )
    _, facts = formats.FORMATS[formats.format_of(exported.path)].open(*_files(exported.path))
    assert facts['mean'] == facts['std'] == [127.5] * 3
    assert facts['size'] == [32, 32] and facts['checkpoint'] == 'tiny.pth'
    assert [step['type'] for step in facts['pipeline']] == ['LoadImageFromFile', 'PackSegInputs']
    assert facts['commit'] is None or len(facts['commit']) == 40


def test_the_shapes_compared_are_none_that_was_recorded(exported) -> None:
    shapes = exported.comparison.shapes
    assert len(shapes) == 2 and len({shape[1:] for shape in shapes}) == 2
    recorded = [line[0] for line in verify._SHAPES]
    assert {shape[1:] for shape in shapes}.isdisjoint(shape[1:] for shape in recorded)
    assert exported.comparison.agreement >= 0.9999 and exported.comparison.difference <= 1e-4


class _Windows(nn.Module):
    """Shifted windows, of the NCHW maps that a graph takes."""

    mean = torch.zeros(3, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attention = ShiftedWindowAttention(3, num_heads=1, window=3, shift=1)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.3)

    def forward(self, image):
        return self.attention(image.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def test_a_graph_holds_for_one_window_and_for_several() -> None:
    """Recorded with one along the rows and three along the columns."""
    net = _Windows().eval()
    graph = formats.record(net, torch.randn(2, 3, 2, 8)).module()
    for shape in ((3, 3, 1, 2), (1, 3, 3, 9), (2, 3, 6, 6), (3, 3, 10, 2)):
        x = torch.randn(shape)
        with torch.no_grad():
            torch.testing.assert_close(graph(x), net(x), rtol=1e-5, atol=1e-6)
    assert verify.choose_shapes(net)[-1] == (1, 267, 245)


@pytest.mark.parametrize('part, sizes', [
    (Upsample(scale_factor=2, mode='bilinear', align_corners=True), [(5, 9), (8, 6)]),
    (Upsample(scale_factor=1.5, mode='nearest'), [(7, 10)]),  # left alone: its sizes are fixed
    (AdaptivePadding(4, 4), [(8, 8), (5, 11), (9, 4)]),
    (AdaptivePadding(3, 2, padding='same'), [(8, 8), (5, 11), (9, 4)]),
    (AdaptivePadding(2, 1, dilation=3), [(8, 8), (5, 11)]),
    (AdaptivePadding(2, 4), [(7, 10)]),  # left alone: it skips pixels
])  # fmt: skip
@pytest.mark.parametrize('recorder', ['export', 'trace'])
def test_parts_of_mmseg_are_recorded_for_any_size(part, sizes, recorder) -> None:
    """mmseg's own answer is the right one; after recording, its parts are its own again."""
    image, kept = torch.randn(2, 3, 7, 10), type(part).forward
    if recorder == 'export' and sizes != [(7, 10)]:
        graph = formats.record(part, image).module()
    else:
        with recording():
            graph = torch.jit.trace(part, (image,), check_trace=False)
    assert type(part).forward is kept
    for size in sizes:
        x = torch.randn(1, 3, *size)
        torch.testing.assert_close(graph(x), part(x))


# --- what is refused --------------------------------------------------------------------------


class _Wrong(formats.TorchExport):
    """Writes a file that answers with one logit changed."""

    def open(self, *paths):
        run, facts = super().open(*paths)

        def other(image):
            logits = run(image).copy()
            logits[0, 0, 0, 0] += 0.01 * np.abs(logits).max()
            return logits

        return other, facts


def test_a_file_that_computes_something_else_is_not_kept(model, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(formats.FORMATS, 'torch_export', _Wrong())
    path = tmp_path / 'net.pt2'
    path.write_bytes(b'older')
    with pytest.raises(ValueError, match=r'net.pt2 is not written: .* logits differ by 1.0e-02'):
        export_model(model, path, 'torch_export', source=SOURCE)
    assert path.read_bytes() == b'older' and list(tmp_path.iterdir()) == [path]


class _Fails(formats.TorchExport):
    """Writes a file that does not run."""

    def open(self, *paths):
        return lambda image: 1 / 0, {}


def test_a_file_that_does_not_run_is_not_kept(model, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(formats.FORMATS, 'torch_export', _Fails())
    with pytest.raises(ValueError, match='fails at 96x128 pixels, .*: ZeroDivisionError: division'):
        export_model(model, tmp_path / 'net.pt2', 'torch_export', source=SOURCE)
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_fixes_the_size_is_not_kept(model, tmp_path, monkeypatch) -> None:
    """Recorded of numbers, as mmseg's own resize would do it."""

    def fixed(self, image):
        height, width = (int(n) for n in image.shape[2:])
        return nn.functional.interpolate(image, (height, width))

    monkeypatch.setattr(LogitsGraph, 'forward', fixed)
    with pytest.raises(ValueError, match='cannot be exported to torch_export|is not written'):
        export_model(model, tmp_path / 'net.pt2', 'torch_export', source=SOURCE)
    with pytest.raises(ValueError, match='is not written'):
        export_model(model, tmp_path / 'net.ts', 'torchscript', source=SOURCE)
    assert list(tmp_path.iterdir()) == []


def _numbers(values):
    return lambda image: np.asarray(values, np.float32)


@pytest.mark.parametrize('found, difference, agreement', [
    ([[4.0, 1.0], [0.0, 2.0]], 0.0, 1.0),
    ([[4.0, 1.0], [0.0, 1.9]], 0.025, 1.0),  # 0.1 of 4
    ([[1.0, 1.0], [2.0, 2.0]], 0.75, 0.5),
    ([[4.0, 1.0], [np.nan, 2.0]], np.nan, 0.0),
])  # fmt: skip
def test_differences_and_agreement_of_hand_made_logits(found, difference, agreement) -> None:
    """One image of 1x2 pixels, two classes."""

    class Two(nn.Module):
        mean = torch.zeros(3, 1, 1)

        def forward(self, image):
            return torch.tensor([[4.0, 1.0], [0.0, 2.0]]).view(1, 2, 1, 2)

    run = _numbers(np.reshape(found, (1, 2, 1, 2)))
    got = verify.compare(Two(), run, [(1, 1, 2)], repeats=1)
    np.testing.assert_allclose([got.difference, got.agreement], [difference, agreement], rtol=1e-5)
    assert (got.fault() is None) is (difference == 0)


def test_another_shape_is_no_agreement() -> None:
    class One(nn.Module):
        mean = torch.zeros(3, 1, 1)

        def forward(self, image):
            return image[:, :1]

    got = verify.compare(One(), lambda image: image[:, :1, 1:], [(1, 8, 8)], repeats=1)
    assert got.difference == float('inf') and got.agreement == 0 and got.fault()


class _Positions(nn.Module):
    """Of each two pixels, one has a logit of 1; rounding decides which in the first ``ties``."""

    mean = torch.zeros(3, 1, 1)

    def __init__(self, pairs: int, ties: int) -> None:
        super().__init__()
        self.tie = torch.arange(pairs) < ties

    def forward(self, image):
        last_bit = image[:, 0].contiguous().view(torch.int32) % 2
        first = ~self.tie | (last_bit.view(len(image), -1, 2)[..., 0] == 0)
        chosen = torch.stack([first, ~first], -1).view(len(image), 1, 1, -1).float()
        return torch.cat([chosen, torch.full_like(chosen, 2.0)], 1)


@pytest.mark.parametrize('pairs, moved, undecided, fault', [
    (15, 0, 2 / 30, None),
    (15, 1, 2 / 30, 'logits differ by 5.0e-01'),  # 1 of 2, and no rounding explains it
    (5, 0, 2 / 10, r'rounding decides the logits of 20 % of pixels \(at most 10 %\)'),
])  # fmt: skip
def test_positions_that_rounding_decides_are_no_fault(pairs, moved, undecided, fault) -> None:
    """A file that takes the other pixel of one pair; the first pair is a tie."""
    graph = _Positions(pairs, 1)
    order = list(range(2 * pairs))
    order[2 * moved : 2 * moved + 2] = [2 * moved + 1, 2 * moved]
    run = lambda image: graph(torch.from_numpy(image)).numpy()[..., order]  # noqa: E731
    got = verify.compare(graph, run, [(1, 1, 2 * pairs)], repeats=1)
    assert got.undecided == pytest.approx(undecided) and got.agreement == 1
    if fault is None:
        assert got.difference == 0 and got.fault() is None
    else:
        assert re.search(fault, got.fault())


def test_no_pixel_is_left_out_of_logits_that_agree() -> None:
    graph = _Positions(5, 5)
    run = lambda image: graph(torch.from_numpy(image)).numpy()  # noqa: E731
    got = verify.compare(graph, run, [(1, 1, 10)], repeats=1)
    assert (got.undecided, got.difference, got.fault()) == (0, 0, None)


def test_a_graph_for_small_images_only_is_refused() -> None:
    """A branch on the size fixes the graph to one side of it."""

    class Branches(nn.Module):
        def forward(self, image):
            return image.flip(3) if image.shape[2] <= 40 else image

    with pytest.raises(ValueError, match='holds for sides of at most 40 pixels only'):
        formats.record(Branches(), torch.zeros(2, 3, 30, 50))
    large = formats.record(Branches(), torch.zeros(2, 3, 60, 50))
    assert torch.equal(large.module()(torch.ones(1, 3, 99, 7)), torch.ones(1, 3, 99, 7))


def test_labels_of_one_channel_are_its_sign() -> None:
    logits = np.array([[[[-1.0, 0.5]]]])
    np.testing.assert_array_equal(verify.labels_of(logits), [[[False, True]]])


@pytest.mark.parametrize('name, words', [
    ('segnet/segnet_bayesian_camvid.py', 'mean over passes with random dropout'),
    ('deeplabv2/deeplabv2_r101_msc_voc12aug_crf.py', 'export the config without the CRF'),
])  # fmt: skip
def test_answers_of_more_than_one_pass_are_refused(name, words) -> None:
    from support.paths import ROOT

    from mmseg_ext.apis.run.config import load_config
    from mmseg_ext.apis.run.network.build import build

    with torch.device('meta'):
        net = build(load_config(ROOT / 'configs' / name))
    with pytest.raises(ValueError, match=words):
        check_exportable(net)


def test_instances_are_refused() -> None:
    net = MaskRCNNSegmentor.__new__(MaskRCNNSegmentor)  # torchvision need not be there
    with pytest.raises(ValueError, match='painted from the instances .* export another network'):
        check_exportable(net)


def test_a_missing_package_is_named(model, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(formats.ONNX, 'packages', ('no_such_package',))
    with pytest.raises(ImportError, match=r'format onnx needs no_such_package .*\[export\]'):
        export_model(model, tmp_path / 'net.onnx', source=SOURCE)
    assert list(tmp_path.iterdir()) == []


def test_wrong_names_are_refused(model, tmp_path) -> None:
    with pytest.raises(ValueError, match='must end in .pt2'):
        export_model(model, tmp_path / 'net.onnx', 'torch_export', source=SOURCE)
    with pytest.raises(ValueError, match='format must be'):
        export_model(model, tmp_path / 'net.onnx', 'tflite', source=SOURCE)
    with pytest.raises(FileNotFoundError, match='no exported network'):
        load_exported(tmp_path / 'net.ts')
    (tmp_path / 'net.ts').write_bytes(b'junk')
    with pytest.raises(ValueError, match=r'net.ts cannot be read as torchscript'):
        load_exported(tmp_path / 'net.ts')


def test_facts_of_others_and_of_later_versions_are_refused(model) -> None:
    facts = json.loads(json.dumps(facts_of(model, SOURCE)))
    check_facts(facts, 'a.onnx')
    with pytest.raises(ValueError, match='says nothing of its classes'):
        check_facts({}, 'a.onnx')
    with pytest.raises(ValueError, match='update the package'):
        check_facts({**facts, 'mmseg_ext_export': 99}, 'a.onnx')
    with pytest.raises(ValueError, match='a.onnx lacks pipeline, threshold'):
        check_facts(
            {k: v for k, v in facts.items() if k not in ('pipeline', 'threshold')}, 'a.onnx'
        )


def test_work_folder_config_and_weights_name_a_network(tmp_path, tiny_config, checkpoint) -> None:
    _, source = load_trained(tiny_config, checkpoint)
    assert source == dict(config=str(tiny_config), checkpoint=str(checkpoint))
    with pytest.raises(ValueError, match='holds no config'):
        load_trained(tmp_path)
    (tmp_path / 'tiny.py').write_text(tiny_config.read_text())
    (tmp_path / 'iter_3.pth').write_bytes(checkpoint.read_bytes())
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_3.pth'))
    net, source = load_trained(tmp_path)
    assert Path(source['checkpoint']) == tmp_path / 'iter_3.pth'
    assert net.dataset_meta['classes'] == list(CLASSES)


def test_windows_are_taken_as_by_the_network(tiny_config, checkpoint, exported, tmp_path) -> None:
    """A network tested in windows gives the same probabilities from a file, in the same windows."""
    slide = dict(mode='slide', crop_size=[24, 24], stride=[16, 16])
    options = {f'model.test_cfg.{key}': value for key, value in slide.items()}
    net = load_model(tiny_config, checkpoint, device='cpu', cfg_options=options)
    run, _ = formats.FORMATS[formats.format_of(exported.path)].open(*_files(exported.path))
    facts = facts_of(net, SOURCE)
    assert facts['test_cfg'] == slide
    path = _picture(tmp_path / 'a.png', 50, 61)
    (one,), (other,) = (
        predict(m, [path], keep_prob=True) for m in (net, ExportedNetwork(run, facts).eval())
    )
    np.testing.assert_allclose(one.prob, other.prob, atol=1e-3)
    (whole,) = predict(load_exported(exported.path), [path], keep_prob=True)
    assert np.abs(whole.prob.astype(float) - one.prob).max() > 1e-3


def test_memory_of_a_file_is_that_of_its_network(model, exported) -> None:
    """An image is predicted in windows from the same size on; both are estimates of one network."""
    image = torch.empty((3, 2048, 2048), dtype=torch.uint8, device='meta')
    whole, file = (Memory(m).needed(image, (2048, 2048), False) for m in (
        model, load_exported(exported.path)))  # fmt: skip
    assert file == pytest.approx(whole, rel=0.1)
    assert Memory(load_exported(exported.path)).side_of_windows(image[:, :1, :1]) > 1024


def test_sizes_of_the_pipeline_are_what_its_steps_take(tiny_config, checkpoint, tmp_path) -> None:
    """A size in a file is a list, as JSON has no tuple, which mmcv's Resize refuses."""
    config = tmp_path / 'resized.py'
    resize = dict(type='Resize', scale=(64, 48), keep_ratio=True)
    steps = [dict(type='LoadImageFromFile'), resize, dict(type='PackSegInputs')]
    config.write_text(
        f'_base_ = {str(tiny_config)!r}\ntest_pipeline = {steps}\n'
        'test_dataloader = dict(dataset=dict(pipeline=test_pipeline))\n'
    )
    network = load_model(config, checkpoint, device='cpu')
    file = export_model(network, tmp_path / 'net.ts', 'torchscript', source=SOURCE).path
    image = _picture(tmp_path / 'a.png', 40, 56)
    (expected,), (found,) = (predict(m, [image]) for m in (network, load_exported(file)))
    assert isinstance(expected, Prediction) and len(np.unique(expected.label)) > 1
    np.testing.assert_array_equal(found.label, expected.label)
