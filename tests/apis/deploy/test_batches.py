"""Programs that were recorded with two images and take one, as the network does; mmseg's ViT."""

import pytest
import torch
from mmseg.models.backbones import VisionTransformer
from torch import nn

from mmseg_ext.apis.deploy import formats


class _Tokens(nn.Module):
    """A convolution of tokens that become a map again, as in SegFormer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.conv = nn.Conv2d(3, 3, 2, stride=2)

    def forward(self, image_NCHW):
        tokens = self.linear(image_NCHW.flatten(2).transpose(1, 2))
        return self.conv(tokens.transpose(1, 2).reshape(image_NCHW.shape))


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(3, 1, batch_first=True)

    def forward(self, image_NCHW):
        tokens = image_NCHW.flatten(2).transpose(1, 2)
        return self.attention(tokens, tokens, tokens, need_weights=False)[0]


def _file(net, image, path):
    formats.TorchExport().write(net, image, {}, path)
    return formats.TorchExport().open(path)[0]


def _vit() -> nn.Module:
    torch.manual_seed(0)
    net = VisionTransformer(
        img_size=(8, 12), patch_size=4, embed_dims=8, num_layers=1, num_heads=2, mlp_ratio=1,
        out_indices=0, interpolate_mode='bicubic',
    )  # fmt: skip
    nn.init.normal_(net.pos_embed)
    return nn.Sequential(net, _First())


class _First(nn.Module):
    def forward(self, maps):
        return maps[0]


@pytest.mark.parametrize('net, sizes', [
    (_Tokens(), [(8, 10), (6, 30)]),
    (_Attention(), [(8, 10), (5, 3)]),
    (_vit(), [(8, 12), (13, 31)]),  # the first is the training's
])  # fmt: skip
def test_a_program_takes_one_image_and_more_at_other_sizes(net, sizes, tmp_path) -> None:
    """Among them the size of training, at which mmseg resizes no positions."""
    net = net.eval().requires_grad_(False)
    run = _file(net, torch.randn(2, 3, 16, 20), tmp_path / 'net.pt2')
    for count in (1, 2, 5):
        for size in sizes:
            x = torch.randn(count, 3, *size)
            expected = net(x)
            torch.testing.assert_close(torch.from_numpy(run(x.numpy())), expected)
    assert VisionTransformer._pos_embeding.__name__ == '_pos_embeding'  # its own again


class _Branches(nn.Module):
    def forward(self, image_NCHW):
        if image_NCHW.shape[2] > 12 and image_NCHW.shape[2] != image_NCHW.shape[3]:
            return image_NCHW + 1
        return image_NCHW


def test_what_a_program_demands_of_sides_stays(tmp_path) -> None:
    """It holds one way of a network that asks for them."""
    run = _file(_Branches(), torch.zeros(2, 3, 16, 20), tmp_path / 'net.pt2')
    assert (run(torch.zeros(1, 3, 14, 9).numpy()) == 1).all()
    for size in ((12, 9), (16, 16)):
        with pytest.raises((AssertionError, RuntimeError)):
            run(torch.zeros(1, 3, *size).numpy())
