"""Our heads take mmpretrain's backbones by config; needs torchvision, which mmpretrain imports."""

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_ext.utils import register_all_modules

pytestmark = pytest.mark.oracle


@pytest.fixture(scope='module', autouse=True)
def _mmpretrain() -> None:
    try:  # a torchvision that does not match torch raises RuntimeError
        import mmpretrain.models  # noqa: F401
    except Exception as error:
        pytest.skip(f'mmpretrain.models: {error}')
    register_all_modules()


def test_fmsi_runs_on_convnext():
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='EncoderDecoder',
            backbone=dict(type='mmpretrain.ConvNeXt', arch='atto', out_indices=(0, 2, 3),
                          gap_before_final_norm=False),
            decode_head=dict(type='FMSIHead', in_channels=(40, 160, 320), in_index=(0, 1, 2),
                             num_classes=4, context=dict(type='DeformASPP', rates=(1, 2)),
                             flow=dict(), attention=dict(type='MSEA'),
                             loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
            test_cfg=dict(mode='whole')))  # fmt: skip
    image = torch.randn(2, 3, 64, 96)
    taps = model.backbone(image)
    assert [tuple(t.shape[2:]) for t in taps] == [(16, 24), (4, 6), (2, 3)]
    logits = model.decode_head(taps)
    assert logits.shape == (2, 4, 16, 24)  # stride 4, that of ConvNeXt's first tap
    logits.square().mean().backward()
    dead = [n for n, p in model.named_parameters() if p.grad is None]
    assert not dead, dead
