"""Our heads take mmpretrain's and timm's backbones by config; both packages import torchvision."""

import pytest
import torch
from mmengine import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from support.paths import ROOT

from mmseg_ext.apis.config.packages import check_packages
from mmseg_ext.utils import register_all_modules

pytestmark = pytest.mark.oracle


def _need(model):
    try:  # a torchvision that does not match torch counts as missing
        check_packages(model)
    except ImportError as error:
        pytest.skip(str(error))
    register_all_modules()


def test_fmsi_runs_on_convnext():
    model = dict(
        type='EncoderDecoder',
        backbone=dict(type='mmpretrain.ConvNeXt', arch='atto', out_indices=(0, 2, 3),
                      gap_before_final_norm=False),
        decode_head=dict(type='FMSIHead', in_channels=(40, 160, 320), in_index=(0, 1, 2),
                         num_classes=4, context=dict(type='DeformASPP', rates=(1, 2)),
                         flow=dict(), attention=dict(type='MSEA'),
                         loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
        test_cfg=dict(mode='whole'))  # fmt: skip
    _need(model)
    torch.manual_seed(0)
    model = MODELS.build(model)
    image = torch.randn(2, 3, 64, 96)
    taps = model.backbone(image)
    assert [tuple(t.shape[2:]) for t in taps] == [(16, 24), (4, 6), (2, 3)]
    logits = model.decode_head(taps)
    assert logits.shape == (2, 4, 16, 24)  # stride 4, that of ConvNeXt's first tap
    logits.square().mean().backward()
    dead = [n for n, p in model.named_parameters() if p.grad is None]
    assert not dead, dead


def _sample(num_classes):
    label = torch.randint(0, num_classes, (1, 64, 64))
    label[:, :4] = 255
    shape = dict(ori_shape=(64, 64), img_shape=(64, 64), padding_size=[0] * 4)
    return SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=shape)


class _Logits(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.backbone, self.decode_head = net.backbone, net.decode_head

    def forward(self, image):
        return self.decode_head(self.backbone(image))


@pytest.mark.parametrize('name, strides', [
    ('fmsi_convnext_tiny_voc12aug', [4, 16, 32]),
    ('fmsi_timm_xception65_voc12aug', [4, 16, 16]),
])  # fmt: skip
def test_config_is_built_trained_one_step_and_exported(name, strides, onnx_export):
    cfg = Config.fromfile(ROOT / 'configs' / 'fmsi' / f'{name}.py')
    model = cfg.model
    _need(model)
    init_default_scope('mmseg')
    model.backbone.pop('init_cfg', None)  # no download
    if 'pretrained' in model.backbone:
        model.backbone.pretrained = False
    model.data_preprocessor.size = (64, 64)
    torch.manual_seed(0)
    net = MODELS.build(model)
    net.init_weights()
    with torch.no_grad():
        taps = net.backbone(torch.randn(1, 3, 64, 128))
    assert [(64 // t.shape[2], 128 // t.shape[3]) for t in taps] == [(s, s) for s in strides]
    assert [t.shape[1] for t in taps] == list(model.decode_head.in_channels)

    before = {n: p.detach().clone() for n, p in net.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-2)
    images = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in range(2)]
    data = dict(inputs=images, data_samples=[_sample(21), _sample(21)])
    net.train()
    loss, _ = net.parse_losses(net(**net.data_preprocessor(data, True), mode='loss'))
    assert loss.isfinite()
    loss.backward()
    after = dict(net.named_parameters())
    assert [n for n in before if after[n].grad is None] == []
    optimizer.step()
    moved = [n for n, p in before.items() if not torch.equal(p, after[n])]
    assert any(n.startswith('backbone.') for n in moved)
    assert any(n.startswith('decode_head.') for n in moved)

    used = onnx_export(_Logits(net).eval(), torch.randn(1, 3, 64, 64), dynamo=False)
    assert {'Conv', 'GridSample'} <= used


# Maps of 64, 128, 256 and 512 channels at strides 4, 8, 16 and 16.
BACKBONES = dict(
    mmpretrain=dict(
        type='mmpretrain.ResNet', depth=18, out_indices=(0, 1, 2, 3), strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2)),
    timm=dict(
        type='TIMMBackbone', model_name='resnet18', pretrained=False, output_stride=16,
        out_indices=(1, 2, 3, 4)),
)  # fmt: skip
# All our heads but two, which need what these backbones do not give: FCNSkipHead the image among
# the maps, UnpaddedSegHead a map without the borders.
HEADS = [
    dict(type='DeepLabV3PlusHead', in_channels=(64, 512), in_index=(0, 3), channels=32),
    dict(type='FMSIHead', in_channels=(64, 256, 512), in_index=(0, 2, 3), channels=32,
         context=dict(type='DeformASPP', rates=(1, 2)), flow=dict()),
    dict(type='MFPHead', in_channels=(64, 128, 256, 512), in_index=(0, 1, 2, 3), channels=32,
         skip_channels=(8, 8, 8), attention=dict(type='PSCAN')),
    dict(type='DeepLabV2Head', in_channels=512, in_index=3, rates=(1, 2)),
    dict(type='UNetVGGHead', in_channels=(64, 128, 256, 512), widths=(8, 8, 8)),
    dict(type='ConvSegHead', in_channels=512, in_index=3),
]  # fmt: skip


@pytest.mark.parametrize('package', BACKBONES)
@pytest.mark.parametrize('head', HEADS, ids=[head['type'] for head in HEADS])
def test_any_head_takes_a_step_on_either_package_and_is_exported(package, head, onnx_export):
    loss = dict(type='CrossEntropyLoss', avg_non_ignore=True)
    model = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', mean=[127.5] * 3, std=[127.5] * 3,
                               bgr_to_rgb=True, size=(64, 64), pad_val=0, seg_pad_val=255),
        backbone=BACKBONES[package],
        decode_head=dict(head, num_classes=4, loss_decode=loss),
        test_cfg=dict(mode='whole'))  # fmt: skip
    _need(model)
    init_default_scope('mmseg')
    torch.manual_seed(0)
    net = MODELS.build(Config(model)).train()
    net.init_weights()
    with torch.no_grad():
        maps = net.backbone(torch.randn(2, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (64, 16, 24), (128, 8, 12), (256, 4, 6), (512, 4, 6)]  # fmt: skip
    images = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in range(2)]
    data = dict(inputs=images, data_samples=[_sample(4), _sample(4)])
    data = net.data_preprocessor(data, True)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        loss, _ = net.parse_losses(net(**data, mode='loss'))
        loss.backward()
        losses.append(loss.item())
        without = [n for n, p in net.named_parameters() if p.requires_grad and p.grad is None]
        assert without == []
        optimizer.step()
    assert torch.tensor(losses).isfinite().all() and losses[1] != losses[0]
    onnx_export(_Logits(net).eval(), torch.randn(1, 3, 64, 64), dynamo=False)
