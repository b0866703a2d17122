"""Backbones of torchvision under the names that our rows start from."""

import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from support.paths import ROOT

from mmseg_ext.apis.convert.converted_file import convert_file, describe
from mmseg_ext.apis.convert.repositories import mobilenet_v2_table
from mmseg_ext.apis.convert.sources import SOURCES

NAME = 'torchvision_mobilenet_v2'


def _torchvision_state(own):
    """Random tensors of our network's shapes under torchvision's names, with a classifier."""
    random = torch.Generator().manual_seed(0)
    state = {}
    for theirs, ours in mobilenet_v2_table(flat=False).items():
        for key, value in own.items():
            if key.startswith(f'{ours}.'):
                drawn = torch.rand(value.shape, generator=random)
                state[theirs + key.removeprefix(ours)] = drawn.to(value.dtype)
    return {**state, 'classifier.1.weight': torch.zeros(1000, 1280)}


def test_rows_start_from_what_is_written_with_a_prefix(tmp_path, monkeypatch):
    """As docs/install.md says: the file lies where the row looks, and all of it is taken."""
    monkeypatch.setenv('MMSEG_EXT_WEIGHTS', str(tmp_path))
    cfg = Config.fromfile(ROOT / 'configs/mfp/mfp_mobilenetv2_camvid180.py').model.backbone
    own = MODELS.build(dict(cfg, init_cfg=None)).state_dict()
    theirs = _torchvision_state(own)
    torch.save(theirs, tmp_path / 'torchvision.pth')
    target = tmp_path / 'mobilenet_v2_imagenet.pth'
    done = convert_file(tmp_path / 'torchvision.pth', target, name=NAME, source=SOURCES[NAME],
                        prefix='backbone.')  # fmt: skip
    text = describe(done, target, SOURCES[NAME], prefix='backbone.')
    assert Config.fromstring(text, '.py').model.backbone.init_cfg == cfg.init_cfg
    network = MODELS.build(cfg)
    network.init_weights()
    got = network.state_dict()
    assert len(theirs) - 1 == len(got) > 300
    assert torch.equal(got['conv1.conv.weight'], theirs['features.0.0.weight'])
    for name, ours in mobilenet_v2_table(flat=False).items():
        assert torch.equal(got[f'{ours}.weight'], theirs[f'{name}.weight']), name
