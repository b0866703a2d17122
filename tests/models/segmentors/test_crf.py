"""The segmentor with a CRF: against network and CRF called by hand, and what testing reports."""

import json

import cv2
import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import METRICS, MODELS
from mmseg.structures import SegDataSample

from mmseg_ext.apis.run import testing
from mmseg_ext.apis.run.options import use_output
from mmseg_ext.models.layers.dense_crf import DenseCRF
from mmseg_ext.models.segmentors.crf import read_rgb

CRF = dict(type='DenseCRF', iterations=3, bi_xy=10, bi_rgb=20)


def _build(tiny_config, **changes):
    init_default_scope('mmseg')
    cfg = Config.fromfile(tiny_config).model
    cfg.update(type='CRFEncoderDecoder', crf=CRF, **changes)
    return MODELS.build(cfg).eval()


@pytest.fixture(autouse=True)
def _network(monkeypatch):
    """A network that goes by brightness, with errors: an untrained one says the same everywhere."""

    def encode_decode(self, inputs, metas):
        errors = torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
        errors = F.interpolate(errors, inputs.shape[2:], mode='bilinear')
        slopes = torch.tensor([-2.0, 0.5, 2.0]).view(3, 1, 1)
        return (slopes * inputs.mean(1, keepdim=True) + 2 * errors)[:, : self.out_channels]

    monkeypatch.setattr(EncoderDecoder, 'encode_decode', encode_decode)


def _sample(path=None, size=(40, 40), **meta):
    if path is not None:
        meta['img_path'] = str(path)
    return SegDataSample(metainfo=dict(ori_shape=size, img_shape=size, **meta))


def _data(path, **meta):
    image = torch.from_numpy(cv2.imread(str(path)).transpose(2, 0, 1).copy())
    return dict(inputs=[image], data_samples=[_sample(path, tuple(image.shape[1:]), **meta)])


@pytest.fixture
def photo(tiny_data):
    return tiny_data / 'img' / '1.png'


def test_testing_is_network_then_crf(tiny_config, photo):
    model = _build(tiny_config)
    (result,) = model.test_step(_data(photo))
    rgb = torch.from_numpy(cv2.imread(str(photo))[..., ::-1].transpose(2, 0, 1).copy())
    with torch.no_grad():
        logits = model.encode_decode((rgb[None] - 127.5) / 127.5, [result.metainfo])
        expected = DenseCRF(iterations=3, bi_xy=10, bi_rgb=20)(logits.softmax(1), rgb[None])[0]
    torch.testing.assert_close(result.seg_logits.data.exp(), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(result.pred_sem_seg.data[0], expected.argmax(0))
    assert torch.equal(result.pred_sem_seg_nocrf.data[0], logits[0].argmax(0))
    assert not torch.equal(result.pred_sem_seg.data, result.pred_sem_seg_nocrf.data)


def test_validation_in_training_runs_no_crf(tiny_config, photo):
    model = _build(tiny_config)
    (result,) = model.val_step(_data(photo))
    assert 'pred_sem_seg_nocrf' not in result


def test_checkpoints_are_those_of_the_network(tiny_config):
    init_default_scope('mmseg')
    plain = MODELS.build(Config.fromfile(tiny_config).model)
    assert plain.state_dict().keys() == _build(tiny_config).state_dict().keys()


@pytest.mark.parametrize(
    'kind', ['LetterboxEncoderDecoder', 'MultiScaleEncoderDecoder', 'MonteCarloEncoderDecoder']
)
def test_it_extends_any_kind_of_encoder_decoder(tiny_config, photo, kind):
    init_default_scope('mmseg')
    model = _build(tiny_config, segmentor=kind)
    assert isinstance(model, MODELS.get(kind)) and type(model).__name__ == f'CRF{kind}'
    (result,) = model.test_step(_data(photo, padding_size=[0, 0, 0, 0]))
    assert 'pred_sem_seg_nocrf' in result
    total = result.seg_logits.data.exp().sum(0)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_it_extends_nothing_else(tiny_config):
    with pytest.raises(ValueError, match="segmentor='DenseCRF' is not a registered kind"):
        _build(tiny_config, segmentor='DenseCRF')


def test_without_a_file_the_normalisation_is_undone(tiny_config, photo):
    model = _build(tiny_config)
    data, bare = _data(photo), _data(photo)
    bare['data_samples'] = [_sample(size=(40, 40))]
    (expected,), (result,) = model.test_step(data), model.test_step(bare)
    torch.testing.assert_close(
        result.seg_logits.data.exp(), expected.seg_logits.data.exp(), rtol=0, atol=1e-3
    )


def test_flip_padding_and_size_are_undone(tiny_config):
    model = _build(tiny_config)
    rgb = torch.randint(256, (3, 6, 8)).float()
    seen = F.pad((rgb.flip(2) - 127.5) / 127.5, (0, 2, 0, 1), value=-3)
    sample = _sample(size=(6, 8), flip=True, flip_direction='horizontal')
    sample.set_metainfo(dict(padding_size=[0, 2, 0, 1]))
    sample.seg_logits = PixelData(data=torch.zeros(3, 6, 8))
    torch.testing.assert_close(model._denormalise(seen, sample), rgb, rtol=0, atol=1e-3)


@pytest.mark.parametrize('channels, shown', [(4, [2, 1, 0]), (1, [0, 0, 0])])
def test_images_of_other_channels_guide_by_what_the_loader_read(
    tiny_config, tmp_path, channels, shown
):
    images = dict(
        type='SegDataPreProcessor', mean=[10.0] * channels, std=[2.0] * channels,
        size=(8, 8), bgr_to_rgb=False,
    )  # fmt: skip
    model = _build(tiny_config, data_preprocessor=images)
    pixels = torch.randint(4096, (8, 8, channels))
    path = tmp_path / 'deep.tif'
    tifffile.imwrite(
        path, pixels.squeeze(2).numpy().astype(np.uint16), photometric='minisblack',
        planarconfig=None if channels == 1 else 'contig',
    )  # fmt: skip
    loaded = pixels.permute(2, 0, 1) * (255 / 4095)
    sample = _sample(path, size=(8, 8))
    sample.seg_logits = PixelData(data=torch.zeros(3, 8, 8))
    found = model._colors((loaded - 10) / 2, sample)
    torch.testing.assert_close(found, loaded[shown], rtol=0, atol=1e-3)


def test_a_single_logit_stays_a_probability(tiny_config, photo):
    cfg = Config.fromfile(tiny_config).model.decode_head
    cfg.update(num_classes=2, out_channels=1, threshold=0.4)
    cfg.loss_decode.use_sigmoid = True
    model = _build(tiny_config, decode_head=cfg)
    (result,) = model.test_step(_data(photo))
    assert result.seg_logits.data.shape == (1, 40, 40)
    assert torch.equal(result.pred_sem_seg.data, (result.seg_logits.data > 0.4).float())


def test_bad_images_are_named(tiny_config, photo, tmp_path):
    torn = tmp_path / 'torn.png'
    torn.write_bytes(b'no picture')
    with pytest.raises(ValueError, match='torn.png: cannot be decoded'):
        read_rgb(str(torn))
    other = tmp_path / 'other.png'
    cv2.imwrite(str(other), np.zeros((9, 9, 3), np.uint8))
    data = _data(photo)
    data['data_samples'][0].set_metainfo(dict(img_path=str(other)))
    with pytest.raises(ValueError, match=r'other.png is \(9, 9\) and its prediction \(40, 40\)'):
        _build(tiny_config).test_step(data)


def test_a_test_run_reports_before_and_after(tiny_config, tmp_path):
    cfg = Config.fromfile(tiny_config)
    cfg.work_dir, cfg.experiment_name = str(tmp_path), 'crf'
    cfg.model.update(type='CRFEncoderDecoder', crf=CRF)
    metric = dict(type='SegMetric')
    cfg.test_evaluator = [
        metric, dict(metric, pred_field='pred_sem_seg_nocrf', prefix='before_crf')
    ]  # fmt: skip
    scores = Runner.from_cfg(cfg).test()
    assert {'mIoU', 'before_crf/mIoU'} <= scores.keys()
    assert scores['mIoU'] != scores['before_crf/mIoU']


def test_the_test_tool_keeps_both_results(tiny_config, tmp_path):
    cfg = Config.fromfile(tiny_config)
    cfg.work_dir, cfg.experiment_name = str(tmp_path), 'crf_tool'
    cfg.model.update(type='CRFEncoderDecoder', crf=CRF)
    cfg.test_evaluator = [
        dict(type='SegMetric'),
        dict(type='SegMetric', pred_field='pred_sem_seg_nocrf', prefix='before_crf'),
        dict(type='BoundaryF1Metric'),
    ]
    torch.save(MODELS.build(cfg.model).state_dict(), tmp_path / 'net.pth')
    use_output(cfg, tmp_path / 'masks')
    scores = testing.test(cfg, tmp_path / 'net.pth')
    results, before = (
        json.loads((tmp_path / name).read_text())
        for name in ('results.json', 'results_before_crf.json')
    )
    assert results['confusion'] != before['confusion']
    kept = results['metrics']
    assert kept['before_crf/mIoU'] == pytest.approx(before['metrics']['mIoU'])
    assert kept['mIoU']['low'] < kept['mIoU']['value'] < kept['mIoU']['high']
    assert kept['BF']['low'] < kept['BF']['value'] < kept['BF']['high']
    assert list(results['per_class_intervals']['BF']) == list(results['per_class']['IoU'])
    assert kept['mIoU']['value'] == pytest.approx(scores['mIoU'] / 100)
    assert kept['BF']['value'] == pytest.approx(scores['BF'] / 100)
    classes = list(results['per_class']['IoU'])
    assert classes and list(results['per_class']['BF']) == classes
    assert 'before_crf/mAcc' not in kept  # another name of mPA
    for folder in (tmp_path / 'masks', tmp_path / 'masks/before_crf'):
        assert len(list(folder.glob('*.png'))) == 6


def test_a_metric_of_what_is_not_there_says_so():
    metric = METRICS.build(dict(type='SegMetric', pred_field='pred_sem_seg_nocrf'))
    metric.dataset_meta = dict(classes=('a', 'b'))
    with pytest.raises(ValueError, match="pred_field='pred_sem_seg_nocrf'.*x.png"):
        metric.process(None, [dict(img_path='x.png')])
