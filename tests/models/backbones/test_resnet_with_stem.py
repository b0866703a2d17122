"""ResNet with its stem's map: mmseg's network, pooled by hand as the public U-Net pools."""

import torch
import torch.nn.functional as F
from mmseg.models.backbones import ResNet

from mmseg_ext.models.backbones.resnet_with_stem import ResNetWithStem

SMALL = dict(depth=18, base_channels=4, stem_channels=4)


def test_maps_are_those_of_mmseg_s_layers_behind_another_pooling():
    torch.manual_seed(0)
    theirs, ours = ResNet(**SMALL), ResNetWithStem(**SMALL)
    theirs.eval()
    ours.eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 64, 96)
    expected = [theirs.norm1(theirs.conv1(x)).relu()]
    # no padding, rounded up: windows that the border cuts take what is inside
    y = F.max_pool2d(F.pad(expected[0], (0, 1, 0, 1), value=-torch.inf), 3, 2)
    for layer in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
        y = layer(y)
        expected.append(y)
    found = ours(x)
    assert [tuple(m.shape[1:]) for m in found] == [
        (4, 32, 48), (4, 16, 24), (8, 8, 12), (16, 4, 6), (32, 2, 3)]  # fmt: skip
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other)
