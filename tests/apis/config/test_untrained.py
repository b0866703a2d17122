"""Nothing is fetched to build a network whose weights come from a checkpoint, or from chance."""

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmseg.models.backbones import timm_backbone
from torch import nn

from mmseg_ext.apis.config.untrained import untrained
from mmseg_ext.apis.run.load import load_model
from mmseg_ext.apis.run.network.build import build


@pytest.mark.parametrize('type_', ['TIMMBackbone', 'mmseg.TIMMBackbone', 'mmpretrain.TIMMBackbone'])
def test_every_part_of_timm_is_asked_for_no_weights(type_) -> None:
    part = ConfigDict(type=type_, model_name='resnet18', pretrained=True)
    settings = ConfigDict(type='Two', pretrained='a.pth', models=[dict(backbone=part), 3])
    found = untrained(settings)
    assert found == dict(
        type='Two', pretrained='a.pth', models=[dict(backbone=dict(part, pretrained=False)), 3]
    )
    assert isinstance(found.models[0].backbone, ConfigDict) and part.pretrained is True


def test_a_detector_of_torchvision_fetches_none() -> None:
    settings = dict(type='mmseg.MaskRCNNSegmentor', detector=dict(weights_backbone='DEFAULT'))
    assert untrained(settings) == dict(settings, fetch_weights=False)


class _Timm:
    """Stands in for timm; says what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[bool] = []

    def create_model(self, pretrained: bool, **_) -> nn.Module:
        self.asked.append(pretrained)
        return nn.Conv2d(3, 8, 1)


def test_building_and_loading_ask_timm_for_no_weights(tiny_config, tmp_path, monkeypatch) -> None:
    timm = _Timm()
    monkeypatch.setattr(timm_backbone, 'timm', timm)
    for name in ('import_package', 'import_torchvision'):
        monkeypatch.setattr(f'mmseg_ext.apis.config.packages.{name}', lambda *_: None)
    config = tmp_path / 'timm.py'
    config.write_text(
        f'_base_ = {str(tiny_config)!r}\n'
        "model = dict(backbone=dict(_delete_=True, type='TIMMBackbone', model_name='x', "
        'pretrained=True))\n'
    )
    network = build(Config.fromfile(config))
    torch.save(dict(state_dict=network.state_dict()), tmp_path / 'net.pth')
    network = load_model(config, tmp_path / 'net.pth', device='cpu')
    assert timm.asked == [False, False]
    assert network.cfg.model.backbone.pretrained is True  # the config is what it was
