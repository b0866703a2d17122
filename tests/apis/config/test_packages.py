"""A model that needs a package which is not there is refused in one sentence, before building."""

import sys

import pytest
from mmengine import Config

from mmseg_ext import env
from mmseg_ext.apis.config import packages as optional_packages
from mmseg_ext.apis.config.packages import check_packages


@pytest.fixture
def nothing_installed(monkeypatch):
    for name in ('torchvision', 'timm', 'mmpretrain'):
        for loaded in [n for n in sys.modules if n.split('.')[0] == name]:
            monkeypatch.delitem(sys.modules, loaded)
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(env, 'version_of', {'torch': '2.13.0'}.get)
    monkeypatch.setattr(optional_packages, 'version_of', {'torch': '2.13.0'}.get)


@pytest.mark.parametrize(
    ('model', 'setting'),
    [
        (dict(type='MaskRCNNSegmentor'), 'model.type=MaskRCNNSegmentor'),
        (dict(type='mmseg_ext.MaskRCNNSegmentor'), 'model.type=MaskRCNNSegmentor'),
        (
            dict(type='EncoderDecoder', backbone=dict(type='mmpretrain.ConvNeXt')),
            'model.backbone.type=mmpretrain.ConvNeXt',
        ),
        (dict(heads=[dict(), dict(type='TIMMBackbone')]), 'model.heads.1.type=TIMMBackbone'),
    ],
)
def test_missing_torchvision_is_named_with_its_version(nothing_installed, model, setting):
    with pytest.raises(ImportError) as caught:
        check_packages(Config(dict(model=model)).model)
    assert str(caught.value) == (
        f'{setting}: torchvision is missing; torch 2.13.0 needs torchvision 0.28.0: pip install '
        'torchvision==0.28.0'
    )


def test_packages_beyond_torchvision_are_named(nothing_installed, monkeypatch):
    monkeypatch.setattr(optional_packages, 'import_torchvision', lambda user: None)
    with pytest.raises(
        ImportError, match='needs mmpretrain .*: pip install "mmpretrain>=1.2,<1.3"'
    ):
        check_packages(dict(type='mmpretrain.VGG'))
    with pytest.raises(ImportError, match='needs timm .*: pip install timm'):
        check_packages(dict(type='TIMMBackbone'))


def test_other_models_need_nothing(nothing_installed):
    check_packages(dict(type='EncoderDecoder', backbone=dict(type='SwinUNet'), pretrained=None))
    check_packages(None)


def test_a_broken_torchvision_is_found_whatever_the_model(nothing_installed, monkeypatch):
    versions = {'torch': '2.13.0', 'torchvision': '0.29.1'}
    monkeypatch.setattr(env, 'version_of', versions.get)
    monkeypatch.setattr(optional_packages, 'version_of', versions.get)
    with pytest.raises(ImportError, match=r'^mmengine: torchvision 0\.29\.1 does not load'):
        check_packages(dict(type='EncoderDecoder'))
