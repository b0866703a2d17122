"""Parts of Swin: windows against a loop over pixels, the mask and expanding by hand."""

import pytest
import torch
from mmseg.models.utils.embed import PatchEmbed

from mmseg_ext.models.layers.swin import (
    DownStage,
    PatchExpand,
    ShiftedWindowAttention,
    embed_patches,
    from_windows,
    to_windows,
    window_mask,
)


def _random(module):
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module.eval()


def test_windows_are_cut_row_by_row_and_put_back():
    x = torch.arange(4 * 6).view(1, 4, 6, 1)
    windows = to_windows(x, 2)
    assert windows[:, :, 0].tolist() == [
        [0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11],
        [12, 13, 18, 19], [14, 15, 20, 21], [16, 17, 22, 23]]  # fmt: skip
    assert torch.equal(from_windows(windows, 2, (4, 6)), x)
    two = torch.randn(3, 4, 6, 5)
    assert torch.equal(from_windows(to_windows(two, 2), 2, (4, 6)), two)


def test_mask_of_a_row_by_hand():
    """Six columns, the last one padding, moved by one: 1 2 | 3 4 | _ 0, of which 0 was wrapped."""
    mask = window_mask((2, 5), (2, 6), 2, (0, 1))
    seen = (mask == 0).int()
    assert mask.shape == (3, 4, 4) and mask[mask != 0].eq(float('-inf')).all()
    everything = [[1] * 4] * 4
    alone = [[1, 0, 1, 0], [0, 1, 0, 1]] * 2  # padding sees padding, column 0 sees column 0
    assert seen.tolist() == [everything, everything, alone]


def _attend(layer, x_HWC):
    """Each pixel gathers from those it may see, one pixel and one head at a time."""
    window, shift, attention = layer.window, layer.shift, layer.w_msa
    H, W, C = x_HWC.shape
    heads, width = attention.num_heads, C // attention.num_heads
    full = [-(-size // window) * window for size in (H, W)]
    steps = [0 if size <= window else shift for size in (H, W)]
    qkv = attention.qkv(x_HWC)

    def place(pixel):  # position after rolling, and whether it went around
        return [((i - s) % n, i < s) for i, s, n in zip(pixel, steps, full)]

    pixels = [(row, column) for row in range(H) for column in range(W)]
    out = torch.zeros(H, W, C)
    for me in pixels:
        mine = place(me)
        seen = [p for p in pixels if all(
            a // window == b // window and around == also
            for (a, around), (b, also) in zip(mine, place(p)))]  # fmt: skip
        offsets = [[a - b for (a, _), (b, _) in zip(mine, place(p))] for p in seen]
        rows = [(r + window - 1) * (2 * window - 1) + c + window - 1 for r, c in offsets]
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            query = qkv[me][:C][part]
            keys = torch.stack([qkv[p][C : 2 * C][part] for p in seen])
            values = torch.stack([qkv[p][2 * C :][part] for p in seen])
            bias = attention.relative_position_bias_table[rows, head]
            weights = (keys @ query / width**0.5 + bias).softmax(0)
            out[me][part] = weights @ values
    return attention.proj(out)


@pytest.mark.parametrize('size', [(6, 6), (5, 7), (2, 8), (3, 3), (7, 2)])
@pytest.mark.parametrize('shift', [0, 1])
@torch.no_grad()
def test_attention_equals_a_loop_over_pixels(size, shift):
    layer = _random(ShiftedWindowAttention(4, num_heads=2, window=3, shift=shift))
    x = torch.randn(2, *size, 4)
    expected = torch.stack([_attend(layer, image) for image in x])
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('recorded', [(7, 8), (2, 8), (2, 3)])
@torch.no_grad()
def test_a_trace_shifts_by_the_size_of_its_map(recorded):
    """Recorded with one window along none of the sides, one or both; then with any other number."""
    layer = _random(ShiftedWindowAttention(4, num_heads=2, window=3, shift=1))
    graph = torch.jit.trace(layer, (torch.randn(2, *recorded, 4),), check_trace=False)
    for size in ((1, 2), (3, 9), (6, 6), (10, 2), (4, 3)):
        x = torch.randn(3, *size, 4)
        torch.testing.assert_close(graph(x), layer(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('size', [(4, 6), (5, 4), (3, 7)])
@torch.no_grad()
def test_merging_equals_mmsegs(size):
    """Its module pads odd sides and gathers patches by Unfold."""
    stage = _random(DownStage(3, torch.nn.Identity(), merge=True))
    x = torch.randn(2, *size, 3)
    expected, (h, w) = stage.downsample(x.flatten(1, 2), size)
    torch.testing.assert_close(stage(x), expected.unflatten(1, (h, w)))


@torch.no_grad()
def test_embedding_equals_mmsegs():
    embed = _random(PatchEmbed(3, 5, kernel_size=4, norm_cfg=dict(type='LN')))
    image = torch.randn(2, 3, 12, 8)
    expected, size = embed(image)
    assert tuple(size) == (3, 2)
    torch.testing.assert_close(embed_patches(embed, image), expected.unflatten(1, size))


@torch.no_grad()
def test_expanding_places_channels_by_hand():
    layer = PatchExpand(1, 2, scale=2)
    layer.norm = torch.nn.Identity()
    layer.expand.weight.copy_(torch.arange(8.0)[:, None])  # pixel x gives 0x, 1x, ..., 7x
    x = torch.tensor([[[[1.0], [10.0]]]])  # one row of two pixels
    out = layer(x)[0]
    assert out[..., 0].tolist() == [[0, 2, 0, 20], [4, 6, 40, 60]]
    assert out[..., 1].tolist() == [[1, 3, 10, 30], [5, 7, 50, 70]]


@torch.no_grad()
def test_expanding_ends_in_layer_norm():
    layer = _random(PatchExpand(6, 3, scale=2))
    torch.nn.init.ones_(layer.norm.weight), torch.nn.init.zeros_(layer.norm.bias)
    out = layer(torch.randn(1, 2, 3, 6))
    assert out.shape == (1, 4, 6, 3)
    torch.testing.assert_close(out.mean(-1), torch.zeros(1, 4, 6), rtol=0, atol=1e-6)
