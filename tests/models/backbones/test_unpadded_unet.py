"""The published U-Net: sizes, cropped skips, mirrored borders, weights between objects."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_ext.datasets.border_weight import (
    BorderWeight,
    PackWeightedSegInputs,
    border_weights,
)
from mmseg_ext.datasets.elastic import ElasticDeform, deform
from mmseg_ext.models.backbones.unpadded_unet import UnpaddedUNet, mirror
from mmseg_ext.models.decode_heads.unpadded_seg_head import UnpaddedSegHead

pytestmark = pytest.mark.filterwarnings('ignore')
SMALL = (2, 3, 4, 5, 6)


def test_572_becomes_388():
    """Figure 1 of the paper."""
    with torch.device('meta'):
        net = UnpaddedUNet(1, mirror='never')
        assert net(torch.zeros(1, 1, 572, 572))[0].shape == (1, 64, 388, 388)
    assert net.sizes(28) == (572, 388)


@pytest.mark.parametrize('channels, classes, expected', [(1, 2, 31_030_658), (3, 2, 31_031_810)])
def test_parameter_integers(channels, classes, expected):
    """31,030,658 is also the sum over figure 1: 9 c d + d per 3x3, 4 c d + d per enlargement."""
    with torch.device('meta'):
        parts = UnpaddedUNet(channels), UnpaddedSegHead(64, num_classes=classes)
    assert sum(p.numel() for part in parts for p in part.parameters()) == expected
    widths, total = (64, 128, 256, 512, 1024), 0
    for before, after in zip((channels, *widths), widths):
        total += 9 * (before * after + after * after) + 2 * after
    for width, deep in zip(widths, widths[1:]):
        total += 4 * deep * width + width + 9 * (2 * width * width + width * width) + 2 * width
    assert total + 65 * classes == expected


def _restated(net, x):
    skips = []
    for index, stage in enumerate(net.down):
        x = F.max_pool2d(x, 2) if index else x
        for conv in (stage[0], stage[2]):
            x = F.relu(F.conv2d(x, conv.weight, conv.bias))
        skips.append(x)
    for level in (3, 2, 1, 0):
        x = F.conv_transpose2d(x, net.enlarge[level].weight, net.enlarge[level].bias, stride=2)
        skip, n = skips[level], x.shape[2]
        cut = (skip.shape[2] - n) // 2
        x = torch.cat([skip[..., cut : cut + n, cut : cut + n], x], 1)
        for conv in (net.up[level][0], net.up[level][2]):
            x = F.relu(F.conv2d(x, conv.weight, conv.bias))
    return x


def test_network_is_the_papers():
    net = UnpaddedUNet(3, widths=SMALL, mirror='never').eval()
    net.init_weights()
    x = torch.randn(2, 3, 188, 188)
    with torch.no_grad():
        ours = net(x)[0]
        true = _restated(net, x)
    assert ours.shape == (2, 2, 4, 4) and true.abs().max() > 1e-3
    torch.testing.assert_close(ours, true, rtol=1e-5, atol=1e-5)


def test_mirror_is_numpys_reflection():
    x = torch.arange(2 * 3 * 5.0).view(1, 2, 3, 5)
    ours = mirror(x, 7, 2, (15, 11))  # further than one reflection of three rows
    true = np.pad(x.numpy(), ((0, 0), (0, 0), (7, 5), (2, 4)), mode='reflect')
    assert np.array_equal(ours.numpy(), true)
    assert torch.equal(mirror(torch.ones(1, 1, 1, 1), 3, 3, (9, 9)), torch.ones(1, 1, 9, 9))


def test_mirrored_image_agrees_with_a_tile_of_it():
    """The paper's tiles: where the tile's context is the image's own, both ways are one."""
    net = UnpaddedUNet(1, widths=SMALL, mirror='always').eval()
    net.init_weights()
    image = torch.randn(1, 1, 212, 212)  # 92 more on each side: 396 = 16 * 17 + 124, nothing left
    with torch.no_grad():
        whole = net(image)[0]
        net.mirror = 'never'
        # 96 is a multiple of 16: the poolings cut the image at the same places
        tile = net(mirror(image, 92, 92, (396, 396))[..., 96:284, 96:284])[0]
    assert whole.shape == (1, 2, 212, 212) and tile.shape == (1, 2, 4, 4)
    torch.testing.assert_close(tile, whole[..., 96:100, 96:100], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('size', [(1, 1), (17, 40)])
def test_any_size_when_mirrored(size):
    net = UnpaddedUNet(3, widths=SMALL, mirror='test').eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 3, *size))[0].shape == (1, 2, *size)
    with pytest.raises(ValueError, match=r'sides must be 188 or differ from it by multiples of 16'):
        net.train()(torch.zeros(1, 3, *size))


def test_batch_norm_and_gradients():
    net = UnpaddedUNet(3, widths=SMALL, mirror='always', batch_norm=True)
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules()) == 18
    net(torch.randn(2, 3, 16, 16))[0].square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    'build, words',
    [
        (lambda: UnpaddedUNet(mirror='yes'), "'never', 'test' or 'always', got 'yes'"),
        (lambda: UnpaddedUNet(widths=(8,)), r'two stages or more, got \[8\]'),
        (lambda: BorderWeight(sigma=0), 'sigma must be above 0'),
        (lambda: ElasticDeform(grid=0), 'grid at least 1, got 10.0 and 0'),
    ],
)
def test_mistakes(build, words):
    with pytest.raises(ValueError, match=words):
        build()


# --- the weight map -------------------------------------------------------------------------------

LABELS = np.array(
    [
        [1, 1, 0, 0, 0, 1, 1, 0],
        [1, 1, 0, 2, 0, 1, 0, 0],
        [0, 0, 0, 2, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 255, 255],
        [1, 0, 0, 0, 0, 0, 2, 2],
        [0, 1, 0, 0, 0, 0, 2, 0],
    ],
    np.uint8,
)  # 1 and 1 touch at a corner only: one object


def _objects(label):
    """Connected parts of each class, corners included, by flooding."""
    left = {tuple(p) for p in np.argwhere((label != 0) & (label != 255))}
    while left:
        part, todo = set(), [min(left)]
        while todo:
            r, c = todo.pop()
            if (r, c) not in left or label[r, c] != label[min(part, default=(r, c))]:
                continue
            left.remove((r, c))
            part.add((r, c))
            todo += [(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        yield part


@pytest.mark.parametrize('w0, sigma', [(10.0, 5.0), (3.0, 1.5)])
def test_weights_against_a_loop_over_pixels(w0, sigma):
    objects = list(_objects(LABELS))
    assert len(objects) == 5
    ours = border_weights(LABELS, w0=w0, sigma=sigma, class_weight=(0.5, 2.0, 3.0))
    for r, c in np.ndindex(LABELS.shape):
        label = LABELS[r, c]
        true = {0: 0.5, 1: 2.0, 2: 3.0, 255: 0.0}[int(label)]
        if label == 0:
            d1, d2 = sorted(min(math.hypot(r - y, c - x) for y, x in part) for part in objects)[:2]
            true += w0 * math.exp(-((d1 + d2) ** 2) / (2 * sigma**2))
        assert ours[r, c] == pytest.approx(true, rel=1e-5), (r, c)
    assert ours.dtype == np.float32


def test_one_object_has_no_neighbour():
    label = np.zeros((5, 5), np.uint8)
    assert (border_weights(label) == 1).all()
    label[2, 2] = 1
    assert (border_weights(label) == 1).all()


def test_transform_packs_the_map():
    results = dict(img=np.zeros((6, 8, 3), np.uint8), gt_seg_map=LABELS)
    packed = PackWeightedSegInputs()(BorderWeight()(results))
    weight = packed['data_samples'].gt_weight_map.data
    assert weight.shape == (1, 6, 8) and np.array_equal(weight[0], border_weights(LABELS))
    without = PackWeightedSegInputs()(dict(img=np.zeros((2, 2, 3), np.uint8)))
    assert 'gt_weight_map' not in without['data_samples']


# --- elastic deformation --------------------------------------------------------------------------


def test_equal_displacements_are_a_shift():
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    grid = np.full((3, 3, 2), (2.0, -1.0))  # two down, one to the left
    wide = np.pad(image, ((0, 2), (1, 0), (0, 0)), mode='reflect')
    assert np.array_equal(deform(image, grid), wide[2:, :7])
    assert np.array_equal(deform(image[..., 0], grid, nearest=True), wide[2:, :7, 0])
    assert np.array_equal(deform(image, 0 * grid), image)


def test_image_and_labels_bend_together():
    np.random.seed(0)
    label = np.kron(np.array([[0, 255], [255, 0]], np.uint8), np.ones((40, 40), np.uint8))
    results = dict(
        img=np.repeat(label[..., None], 3, 2), gt_seg_map=label, seg_fields=['gt_seg_map']
    )
    bent = ElasticDeform()(results)
    moved = (bent['gt_seg_map'] != label).mean()
    assert 0.02 < moved < 0.5 and set(np.unique(bent['gt_seg_map'])) == {0, 255}
    halves = (bent['img'][..., 0] > 127) != (bent['gt_seg_map'] > 127)
    assert halves.mean() < 0.01  # but for rounding at the edges
    still = ElasticDeform(prob=0.0)(dict(img=label))
    assert still['img'] is label


# --- the loss -------------------------------------------------------------------------------------


def _sample(label, weight=None):
    sample = SegDataSample(
        gt_sem_seg=PixelData(data=torch.as_tensor(label, dtype=torch.long)[None])
    )
    if weight is not None:
        sample.gt_weight_map = PixelData(data=torch.as_tensor(weight)[None])
    return sample


@pytest.mark.parametrize('weighted', [False, True])
def test_loss_sees_the_centre(weighted):
    torch.manual_seed(0)
    head = UnpaddedSegHead(
        2, num_classes=3, loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)
    )
    logits = torch.randn(1, 3, 4, 4)
    # The sample was padded by a row and a column after its weights had been computed.
    label = np.pad(LABELS, ((0, 1), (0, 1)), constant_values=255)
    weight = border_weights(LABELS) if weighted else None
    losses = head.loss_by_feat(logits, [_sample(label, weight)])
    true, count = 0.0, 0
    for r in range(4):
        for c in range(4):
            y, x = r + 1, c + 2  # (7 - 4) // 2 and (9 - 4) // 2
            if label[y, x] == 255:
                continue
            factor = float(weight[y, x]) if weighted else 1.0
            true -= factor * float(logits[0, :, r, c].log_softmax(0)[int(label[y, x])])
            count += 1
    assert 0 < count <= 16
    assert float(losses['loss_ce']) == pytest.approx(true / count, rel=1e-5)
    assert 'acc_seg' in losses


def test_logits_larger_than_the_labels():
    head = UnpaddedSegHead(2, num_classes=3)
    with pytest.raises(ValueError, match=r'\(9, 9\) pixels are larger than the labels, \(6, 8\)'):
        head.loss_by_feat(torch.zeros(1, 3, 9, 9), [_sample(LABELS)])
