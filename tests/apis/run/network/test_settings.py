"""Converted weights that fit by name, but not by behaviour, do not load."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.models.decode_heads import PSPHead
from mmseg.registry import MODELS
from support.paths import ROOT

from mmseg_ext.apis.convert.converted_file import converted_meta
from mmseg_ext.apis.convert.deeplabv2 import needed_settings
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.load import load_model
from mmseg_ext.apis.run.network import settings as convert_settings
from mmseg_ext.apis.run.network.recorded import settings_of
from mmseg_ext.apis.run.network.settings import check_settings, check_starts
from mmseg_ext.apis.run.options import use_tta
from mmseg_ext.apis.run.testing import test as run_test
from mmseg_ext.apis.run.training import train
from mmseg_ext.utils import register_all_modules

CONFIGS = ROOT / 'configs'
register_all_modules()
UNIT = dict(mean=[0.0] * 3, std=[255.0] * 3, bgr_to_rgb=True)
MOBILENET = dict(type='MobileNetV2Dilated', strides=(1, 2, 2, 2, 1, 1, 1),
                 dilations=(1, 1, 1, 1, 1, 2, 2), out_indices=(4, 6))  # fmt: skip
PSP = dict(type='PSPHead', in_channels=320, in_index=1, channels=80, pool_scales=(1, 2, 3, 6),
           num_classes=21, norm_cfg=dict(type='BN'), align_corners=True)  # fmt: skip
VGG = dict(type='VGG16', out=('conv1', 'conv2', 'conv3', 'conv4', 'conv5'))
UNET = dict(type='UNetVGGHead', in_channels=(64, 128, 256, 512, 512), num_classes=21)
XCEPTION = dict(type='XceptionDeepLab', num_middle_blocks=1)
CLASSIFIER = dict(type='ConvSegHead', in_channels=2048, num_classes=21)


def _model(backbone, decode_head, **others):
    images = dict(type='SegDataPreProcessor', **UNIT)
    model = dict(type='EncoderDecoder', data_preprocessor=images, backbone=backbone,
                 decode_head=decode_head, **others)  # fmt: skip
    return Config(dict(model=model)).model


def _meta(*parts, **others):
    settings = settings_of(dict(zip(('backbone', 'decode_head'), parts)) | others, UNIT)
    return converted_meta('public.pth', source='some', origin='there', settings=settings)


PAIRS = dict(psp=(MOBILENET, PSP), unet=(VGG, UNET), xception=(XCEPTION, CLASSIFIER))


def _changed(pair, changes):
    model = _model(*PAIRS[pair])
    cfg = Config(dict(model=model))
    cfg.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    return cfg.model


def _told(setting, file, config):
    return f'{setting} is {file} in the file and {config} in the config'


BN3 = dict(type='BN', eps=1e-3)
UNITS = [255.0, 255.0, 255.0]


@pytest.mark.parametrize('pair, changes, told', [
    ('psp', {'decode_head.align_corners': False}, ('decode_head.align_corners', True, False)),
    ('psp', {'backbone.strides': (1, 2, 2, 1, 1, 1, 1)},
     ('backbone.strides', [1, 2, 2, 2, 1, 1, 1], [1, 2, 2, 1, 1, 1, 1])),
    ('psp', {'backbone.dilations': (1, 1, 1, 1, 1, 2, 4)},
     ('backbone.dilations', [1, 1, 1, 1, 1, 2, 2], [1, 1, 1, 1, 1, 2, 4])),
    ('psp', {'backbone.type': 'MobileNetV2'},
     ('backbone.type', 'MobileNetV2Dilated', 'MobileNetV2')),
    ('psp', {'backbone.norm_cfg': BN3}, ('backbone.norm_cfg.eps', None, 0.001)),
    ('psp', {'decode_head.norm_cfg': BN3}, ('decode_head.norm_cfg.eps', None, 0.001)),
    ('psp', {'backbone.act_cfg': dict(type='ReLU')}, ('backbone.act_cfg.type', 'ReLU6', 'ReLU')),
    ('psp', {'decode_head.act_cfg': dict(type='LeakyReLU')},
     ('decode_head (psp_modules.0.1.activate)', 'ReLU', 'LeakyReLU')),
    ('psp', {'decode_head.pool_scales': (1, 2, 3, 4)},
     ('decode_head.pool_scales', [1, 2, 3, 6], [1, 2, 3, 4])),
    ('psp', {'data_preprocessor.std': [1.0] * 3},
     ('data_preprocessor.std', UNITS, [1.0, 1.0, 1.0])),
    ('psp', {'data_preprocessor.mean': None, 'data_preprocessor.std': None},
     ('data_preprocessor.std', UNITS, [1.0])),
    ('psp', {'data_preprocessor.mean': [123.675, 116.28, 103.53]},
     ('data_preprocessor.mean', [0.0, 0.0, 0.0], [123.675, 116.28, 103.53])),
    ('psp', {'data_preprocessor.bgr_to_rgb': False}, ('data_preprocessor.bgr_to_rgb', True, False)),
    ('psp', {'backbone.out_indices': (3, 4, 5, 6), 'decode_head.in_index': 2},
     ('decode_head.in_index (maps of the backbone)', [6], [5])),
    ('unet', {'backbone.ceil_mode': True}, ('backbone.ceil_mode', False, True)),
    ('unet', {'backbone.padding': 'pad100'}, ('backbone.padding', 'same', 'pad100')),
    ('xception', {'backbone.output_stride': 8}, ('backbone.output_stride', 16, 8)),
    ('xception', {'backbone.norm_eps': 1e-3}, ('backbone.norm_eps', 1e-05, 0.001)),
    ('xception', {'backbone.relu_identity': False}, ('backbone.relu_identity', True, False)),
])  # fmt: skip
def test_a_network_that_behaves_otherwise_is_refused(pair, changes, told):
    with pytest.raises(ValueError) as refused:
        check_settings(_changed(pair, changes), _meta(*PAIRS[pair]), 'their.pth')
    text = str(refused.value)
    assert text.startswith('their.pth: ') and _told(*told) in text and '\n' not in text
    assert 'the config that tools/model_converters/convert.py prints' in text


def test_the_remedy_is_one(monkeypatch):
    changes = {'backbone.strides': (1, 2, 2, 1, 1, 1, 1), 'decode_head.align_corners': False}
    with pytest.raises(ValueError) as refused:
        check_settings(_changed('psp', changes), _meta(*PAIRS['psp']), 'their.pth')
    options = re.search(r'--cfg-options (.*), or the config', str(refused.value))[1].split()
    assert options == ['model.backbone.strides=[1,2,2,2,1,1,1]',
                       'model.decode_head.align_corners=True']  # fmt: skip
    from mmseg_ext.apis.cli.arguments import parse_options

    cfg = Config(dict(model=_changed('psp', changes)))
    cfg.merge_from_dict(parse_options(options))
    check_settings(cfg.model, _meta(*PAIRS['psp']), 'their.pth')


@MODELS.register_module()
class _OwnPSPHead(PSPHead):
    """A head of the user's."""


@pytest.mark.parametrize('pair, changes', [
    ('psp', {}),
    ('psp', {'type': 'LetterboxEncoderDecoder', 'data_preprocessor.size': (512, 512)}),
    ('psp', {'decode_head.num_classes': 5, 'decode_head.ignore_index': 0}),
    ('psp', {'decode_head.dropout_ratio': 0.5, 'decode_head.init_cfg': None,
             'decode_head.loss_decode': [dict(type='SoftDiceLoss', loss_weight=0.5)]}),
    ('psp', {'backbone.norm_cfg': dict(type='SyncBN'), 'backbone.with_cp': True}),
    ('psp', {'backbone.norm_cfg': dict(type='BN', momentum=0.01), 'backbone.frozen_stages': 2}),
    ('psp', {'backbone.out_indices': (2, 4, 6), 'decode_head.in_index': -1}),
    ('psp', {'decode_head.type': '_OwnPSPHead', 'test_cfg': dict(mode='whole')}),
    ('psp', {'data_preprocessor.mean': None, 'data_preprocessor.std': [255]}),
    ('unet', {'backbone.init_cfg': dict(type='VGG16Pretrained', checkpoint='gone.pth')}),
    ('xception', {'backbone.norm_momentum': 3e-4}),
])  # fmt: skip
def test_what_changes_no_output_is_allowed(pair, changes):
    check_settings(_changed(pair, changes), _meta(*PAIRS[pair]), 'their.pth')


def test_checking_leaves_the_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    check_settings(_changed('psp', {}), _meta(*PAIRS['psp']), 'their.pth')
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize('meta', [None, {}, {'iter': 3}, {'converted_from': dict(file='old.pth')}])
def test_our_own_and_older_files_are_not_compared(meta, monkeypatch):
    told = []
    monkeypatch.setattr(convert_settings, 'print_log', lambda text, *_: told.append(text))
    check_settings(_changed('psp', {'decode_head.align_corners': False}), meta, 'ours.pth')
    older = bool(meta and 'converted_from' in meta)
    assert [text.startswith('ours.pth was converted without its') for text in told] == [
        True
    ] * older


def test_a_training_may_go_on_with_another_head():
    """FMSI starts from the baseline's weights; modules of another class are its own."""
    rows = ('deeplabv3plus_xception_voc12aug', 'fmsi_xception_voc')
    base, cfg = (load_config(CONFIGS / f'fmsi/{row}.py') for row in rows)
    parts = {part: base.model[part] for part in ('backbone', 'decode_head')}
    meta = converted_meta('p.pth', source='s', origin='o', settings=settings_of(parts, UNIT))
    check_settings(cfg.model, meta, 'p.pth', complete=False)
    cfg.merge_from_dict({'model.backbone.output_stride': 8})
    with pytest.raises(
        ValueError, match='stride is 16 in the file and 8 in the config.*start the backbone alone'
    ):
        check_settings(cfg.model, meta, 'p.pth', complete=False)


@pytest.mark.parametrize('pair, changes, told', [
    ('psp', {'decode_head.align_corners': False}, ('decode_head.align_corners', True, False)),
    ('psp', {'decode_head.num_classes': 3, 'backbone.act_cfg': dict(type='ReLU')},
     ('backbone.act_cfg.type', 'ReLU6', 'ReLU')),
    ('psp', {'backbone.type': 'MobileNetV2'},
     ('backbone.type', 'MobileNetV2Dilated', 'MobileNetV2')),
    ('unet', {'backbone.ceil_mode': True}, ('backbone.ceil_mode', False, True)),
    ('xception', {'backbone.relu_identity': False}, ('backbone.relu_identity', True, False)),
    ('xception', {'data_preprocessor.std': [1.0] * 3},
     ('data_preprocessor.std', UNITS, [1.0, 1.0, 1.0])),
])  # fmt: skip
def test_a_training_goes_on_with_the_same_network(pair, changes, told):
    with pytest.raises(ValueError, match=re.escape(_told(*told))):
        check_settings(_changed(pair, changes), _meta(*PAIRS[pair]), 'p.pth', complete=False)
    unrelated = _changed('unet', {})
    unrelated.backbone = _changed('psp', {}).backbone
    check_settings(unrelated, _meta(*PAIRS['psp']), 'p.pth', complete=False)


def test_the_zoo_s_hrnet_is_refused():
    cfg = load_config(CONFIGS / 'fmsi/hrnet_w18_voc12aug.py')
    parts = {part: cfg.model[part] for part in ('backbone', 'decode_head')}
    meta = converted_meta('p.pth', source='s', origin='o', settings=settings_of(parts, UNIT))
    cfg.merge_from_dict({'model.backbone.type': 'HRNet'})
    with pytest.raises(
        ValueError, match='backbone.type is HRNetAlignCorners in the file and HRNet in the config'
    ):
        check_settings(cfg.model, meta, 'p.pth')


def test_deeplabv2_needs_its_scales_and_rates():
    cfg = load_config(CONFIGS / 'deeplabv2/deeplabv2_r101_msc_voc12aug_crf.py')
    state = {'decode_head.classifiers.0.bias': torch.zeros(21)}
    meta = converted_meta('p.pth', source='s', origin='o', settings=needed_settings(state))
    check_settings(cfg.model, meta, 'p.pth')
    for changes, told in (
        (
            {'model.scales': (1.0,)},
            r'scales is \[0.5, 0.75, 1.0\] in the file and \[1.0\] in the config',
        ),
        (
            {'model.decode_head.rates': (2, 4, 8, 12)},
            r'decode_head.rates is \[6, 12, 18, 24\] in the file',
        ),
    ):
        other = Config(cfg.to_dict())
        other.merge_from_dict(changes)
        with pytest.raises(ValueError, match=told):
            check_settings(other.model, meta, 'p.pth')


# --- where weights are loaded ---------------------------------------------------------------------


@pytest.fixture
def converted(tiny_config, tmp_path):
    """A config, its checkpoint as a converter writes it, and the option that makes it another."""
    cfg = load_config(tiny_config)
    cfg.work_dir = str(tmp_path / 'run')
    parts = {part: cfg.model[part] for part in ('backbone', 'decode_head')}
    images = {key: cfg.model.data_preprocessor[key] for key in ('mean', 'std', 'bgr_to_rgb')}
    meta = converted_meta('p.pth', source='s', origin='o', settings=settings_of(parts, images))
    path = tmp_path / 'converted.pth'
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict(), meta=meta), path)
    return cfg, path


OTHER = {'model.decode_head.align_corners': True}
TOLD = 'converted.pth.*decode_head.align_corners is False in the file and True in the config'


def test_predicting_is_refused(converted, tiny_config):
    _, path = converted
    assert load_model(tiny_config, path, device='cpu').training is False
    with pytest.raises(ValueError, match=TOLD):
        load_model(tiny_config, path, device='cpu', cfg_options=OTHER)


@pytest.mark.parametrize('how', ['test', 'test with tta', 'load_from'])
def test_testing_and_training_are_refused(converted, how):
    cfg, path = converted
    cfg.merge_from_dict(OTHER)
    if how == 'load_from':
        cfg.load_from = str(path)
    elif how == 'test with tta':
        use_tta(cfg)
    with pytest.raises(ValueError, match=TOLD):
        train(cfg) if how == 'load_from' else run_test(cfg, path)
    assert not Path(cfg.work_dir).exists()


def _start(path, **settings):
    backbone = dict(XCEPTION, init_cfg=dict(type='Pretrained', checkpoint=str(path)), **settings)
    return _model(backbone, CLASSIFIER)


def test_a_backbone_starts_at_any_stride_but_with_its_own_epsilon(tmp_path, monkeypatch):
    path = tmp_path / 'xception.pth'
    theirs = dict(XCEPTION, exit_dilation=2, relu_identity=False, norm_eps=1e-3)
    images = dict(mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True)
    meta = converted_meta('x', source='s', origin='o',
                          settings=settings_of(dict(backbone=theirs), images))  # fmt: skip
    torch.save(dict(state_dict={}, meta=meta), path)
    own = dict(relu_identity=False, norm_eps=1e-3)
    told = []
    monkeypatch.setattr(convert_settings, 'print_log', lambda text, *_: told.append(text))
    check_starts(_start(path, output_stride=8, taps=('entry', 'exit'), **own))
    assert len(told) == 1 and 'data_preprocessor.std [127.5, 127.5, 127.5] there' in told[0]
    with pytest.raises(
        ValueError, match='backbone.norm_eps is 0.001 in the file and 1e-05 in the config'
    ):
        check_starts(_start(path, relu_identity=False))
    with pytest.raises(
        ValueError, match='backbone.relu_identity is False in the file and True in the config'
    ):
        check_starts(_start(path, norm_eps=1e-3))
    by_name = _start(path, relu_identity=False)
    del by_name.backbone['init_cfg']
    by_name.pretrained = str(path)
    with pytest.raises(
        ValueError, match='backbone.norm_eps is 0.001 in the file and 1e-05 in the config'
    ):
        check_starts(by_name)
