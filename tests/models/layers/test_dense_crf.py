"""Dense CRF: against exact mean field over all pairs of pixels, pydensecrf, and bad input."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_ext.models.layers import dense_crf
from mmseg_ext.models.layers.dense_crf import NORMALIZATIONS, SETTINGS, DenseCRF

try:
    import pydensecrf.densecrf as reference
except ImportError:
    reference = None


def _scene(height, width, classes, *, seed=0, sure=3.0):
    """Colored patches with noise, and blurred, partly wrong probabilities of their classes."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.randint(classes, (1, 1, 5, 6), generator=g).float()
    label = F.interpolate(coarse, (height, width))[0, 0].long()
    colors = torch.randint(256, (classes, 3), generator=g).float()
    shade = F.interpolate(torch.randn(1, 3, 4, 4, generator=g), (height, width), mode='bicubic')
    image = colors[label].permute(2, 0, 1) + 12 * shade[0]
    image += 4 * torch.randn(3, height, width, generator=g)
    logits = sure * F.one_hot(label, classes).permute(2, 0, 1).float()
    noise = F.interpolate(torch.randn(1, classes, 8, 9, generator=g), (height, width))[0]
    logits = F.avg_pool2d((logits + 1.5 * noise)[None], 7, 1, 3)[0]
    return logits.softmax(0)[None], image.round().clamp(0, 255).byte()[None]


# --- exact oracle ---------------------------------------------------------------------------------


def _exact_matrix(features_ND):
    exactly = 'donot_use_mm_for_euclid_dist'
    distance = torch.cdist(features_ND, features_ND, compute_mode=exactly)
    return torch.exp(-0.5 * distance.square())


def _exact(prob, image, setting, *, iterations=10, normalization='symmetric', clip=1e-5):
    """Mean field with both kernel matrices written out, float64."""
    _, c, h, w = prob.shape
    y, x = torch.meshgrid(torch.arange(h).double(), torch.arange(w).double(), indexing='ij')
    place = torch.stack((x.flatten(), y.flatten()), 1)
    color = image[0].double().flatten(1).t()
    kernels = (
        (setting['pos_w'], _exact_matrix(place / setting['pos_xy'])),
        (
            setting['bi_w'],
            _exact_matrix(torch.cat((place / setting['bi_xy'], color / setting['bi_rgb']), 1)),
        ),
    )
    messages = sum(weight * _exact_normalised(k, normalization).t() for weight, k in kernels)
    u = prob[0].double().clamp(min=clip).log().reshape(c, -1)
    q = u.softmax(0)
    for _ in range(iterations):
        q = (u + q @ messages).softmax(0)
    return q.reshape(1, c, h, w)


def _exact_normalised(k, mode):
    sums = k.sum(1)
    if mode == 'symmetric':
        return k / (sums[:, None] * sums[None]).sqrt()
    if mode == 'after':
        return k / sums[:, None]
    if mode == 'before':
        return k / sums[None]
    return k / sums.mean() if mode == 'mean' else k


@pytest.mark.parametrize('seed', [0, 1])
def test_agrees_with_exact_mean_field_at_deeplabs_setting(seed):
    prob, image = _scene(48, 64, 12, seed=seed, sure=6)
    expected = _exact(prob, image, SETTINGS['deeplabv2_resnet101'])
    got = DenseCRF()(prob, image)
    moved = (got.argmax(1) != prob.argmax(1)).float().mean()
    assert moved > 0.02  # it does something
    assert (got.argmax(1) == expected.argmax(1)).float().mean() >= 0.985
    assert (got - expected).abs().mean() < 0.005


@pytest.mark.parametrize('normalization', ['symmetric', 'after', 'before', 'mean'])
def test_normalisations_agree_with_exact_ones(normalization):
    prob, image = _scene(30, 36, 4)
    setting = SETTINGS['deeplabv1']
    expected = _exact(prob, image, setting, normalization=normalization, iterations=5)
    crf = DenseCRF(**setting, normalization=normalization, iterations=5)
    assert (crf(prob, image).argmax(1) == expected.argmax(1)).float().mean() >= 0.97


def test_normalisations_are_those_of_their_definition():
    _, image = _scene(6, 7, 2)
    eye = torch.eye(42, dtype=torch.float64)
    arguments = image[0], 20.0, 40.0
    k = dense_crf.bilateral_kernel(*arguments, 'none', torch.float64).filter(eye)
    for mode in NORMALIZATIONS:
        got = dense_crf.bilateral_kernel(*arguments, mode, torch.float64).filter(eye)
        torch.testing.assert_close(got, _exact_normalised(k, mode))


def test_settings_are_those_of_public_code():
    assert SETTINGS['deeplabv2_resnet101'] == dict(pos_w=3, pos_xy=1, bi_w=4, bi_xy=67, bi_rgb=3)
    crf = DenseCRF()
    assert (crf.pos_w, crf.pos_xy, crf.bi_w, crf.bi_xy, crf.bi_rgb) == (3, 1, 4, 67, 3)
    assert (crf.iterations, crf.normalization, crf.clip) == (10, 'symmetric', 1e-5)
    assert len(SETTINGS) == 8


# --- exact properties -----------------------------------------------------------------------------


def test_without_weights_or_iterations_it_returns_the_input():
    prob, image = _scene(10, 12, 3)
    for crf in (DenseCRF(pos_w=0, bi_w=0), DenseCRF(iterations=0)):
        torch.testing.assert_close(crf(prob, image), prob)


def test_zero_iterations_clip():
    prob = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    out = DenseCRF(iterations=0, clip=0.25)(prob, torch.zeros(1, 3, 1, 1))
    torch.testing.assert_close(out.flatten(), torch.tensor([0.8, 0.2]))  # 1 and 0.25 over 1.25


def test_images_of_a_batch_do_not_mix():
    scenes = [_scene(12, 14, 3, seed=s) for s in (0, 1)]
    crf = DenseCRF(iterations=2)
    prob, image = (torch.cat(parts) for parts in zip(*scenes))
    torch.testing.assert_close(crf(prob, image), torch.cat([crf(*scene) for scene in scenes]))


def test_classes_may_be_permuted_and_filtered_in_chunks():
    prob, image = _scene(16, 15, 7)
    order = torch.randperm(7)
    out = DenseCRF()(prob, image)
    torch.testing.assert_close(DenseCRF()(prob[:, order], image), out[:, order])
    torch.testing.assert_close(DenseCRF(chunk=3)(prob, image), out)


def test_one_class_is_certain():
    out = DenseCRF()(torch.ones(1, 1, 4, 5), torch.zeros(1, 3, 4, 5))
    assert torch.equal(out, torch.ones(1, 1, 4, 5))


def test_256_classes():
    prob, image = _scene(8, 9, 256)
    out = DenseCRF(iterations=2)(prob, image)
    torch.testing.assert_close(out.sum(1), torch.ones(1, 8, 9))


def test_pruning_leaves_out_labels_that_are_nowhere_probable():
    prob, image = _scene(24, 30, 4)
    extra = torch.full((1, 3, 24, 30), 1e-4)
    many = torch.cat((extra[:, :1], prob * (1 - 3e-4), extra[:, 1:]), 1)
    full, pruned = DenseCRF()(many, image), DenseCRF(prune=1e-3)(many, image)
    assert pruned[:, [0, 5, 6]].abs().max() == 0
    torch.testing.assert_close(pruned[:, 1:5], full[:, 1:5], rtol=0, atol=2e-3)
    assert torch.equal(full.argmax(1), pruned.argmax(1))
    # exactly what is left when they never were there
    torch.testing.assert_close(
        pruned[:, 1:5], DenseCRF(prune=1e-3)(many[:, 1:5], image), rtol=0, atol=1e-4
    )


def test_pruning_keeps_something_when_nothing_is_probable_enough():
    prob = torch.full((1, 4, 3, 3), 0.25)
    torch.testing.assert_close(DenseCRF(prune=0.5)(prob, torch.zeros(1, 3, 3, 3)), prob)


def test_highest_is_the_maximum_over_pixels():
    for count in (1, 63, 64, 200):
        q = torch.rand(count, 5)
        assert torch.equal(dense_crf._highest(q), q.amax(0))


def test_gradients_flow_to_probabilities_and_weights():
    prob, image = _scene(4, 5, 3)
    crf = DenseCRF(iterations=3, bi_rgb=30, bi_xy=5, learn_weights=True).double()
    logits = prob.double().log().requires_grad_()

    def run(x, pos_w, bi_w):
        return torch.func.functional_call(crf, dict(pos_w=pos_w, bi_w=bi_w), (x.softmax(1), image))

    weights = [torch.tensor(w, dtype=torch.float64, requires_grad=True) for w in (1.5, 0.8)]
    assert torch.autograd.gradcheck(run, (logits, *weights))
    assert dict(crf.named_parameters()).keys() == {'pos_w', 'bi_w'}
    assert not list(DenseCRF().parameters())


def test_gradient_with_fixed_weights():
    prob, image = _scene(4, 5, 3)
    crf = DenseCRF(iterations=2, bi_rgb=30, bi_xy=5)
    assert torch.autograd.gradcheck(
        lambda x: crf(x.softmax(1), image), prob.double().log().requires_grad_()
    )


def test_a_kernel_kept_from_inference_serves_training():
    prob, image = _scene(5, 6, 3)
    dense_crf.position_kernel.cache_clear()
    with torch.inference_mode():
        expected = DenseCRF()(prob, image)
    prob = prob.clone().requires_grad_()
    out = DenseCRF()(prob, image)
    torch.testing.assert_close(out, expected.clone())  # in place and not are the same
    (out**2).sum().backward()
    assert prob.grad.abs().sum() > 0


def test_position_kernels_are_kept_by_size():
    prob, image = _scene(9, 8, 2)
    dense_crf.position_kernel.cache_clear()
    for _ in range(3):
        DenseCRF()(prob, image)
    assert dense_crf.position_kernel.cache_info().misses == 1
    DenseCRF()(prob.transpose(2, 3), image.transpose(2, 3))
    DenseCRF(pos_xy=2)(prob, image)
    assert dense_crf.position_kernel.cache_info().misses == 3


def test_it_is_registered_and_prints_its_settings():
    init_default_scope('mmseg')
    crf = MODELS.build(dict(type='DenseCRF', **SETTINGS['camvid'], prune=1e-3))
    assert 'bi_w=5.0, bi_xy=50.0, bi_rgb=3.0' in repr(crf) and 'prune=0.001' in repr(crf)


def test_half_precision_comes_back_as_float32():
    prob, image = _scene(8, 9, 3)
    out = DenseCRF()(prob.half(), image)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, DenseCRF()(prob.half().float(), image))


# --- odd and bad input ----------------------------------------------------------------------------


def test_a_grey_image_is_one_with_equal_channels():
    prob, image = _scene(10, 12, 3)
    grey = image[:, :1]
    expected = DenseCRF()(prob, grey.repeat(1, 3, 1, 1))
    assert torch.equal(DenseCRF()(prob, grey), expected)


@pytest.mark.parametrize('value', [0, 117, 255])
def test_an_image_of_one_color(value):
    """Only positions are left: the exact mean field says what follows."""
    prob, _ = _scene(24, 30, 4)
    image = torch.full((1, 3, 24, 30), value, dtype=torch.uint8)
    setting = dict(pos_w=3, pos_xy=1, bi_w=4, bi_xy=8, bi_rgb=3)
    expected = _exact(prob, image, setting)
    out = DenseCRF(**setting)(prob, image)
    assert (out.argmax(1) == expected.argmax(1)).float().mean() >= 0.97


@pytest.mark.parametrize('size', [(1, 1), (1, 9), (7, 1), (2, 2)])
def test_tiny_images(size):
    prob = torch.rand(1, 3, *size).softmax(1)
    image = torch.randint(256, (1, 3, *size), dtype=torch.uint8)
    out = DenseCRF()(prob, image)
    assert out.shape == prob.shape and out.min() >= 0
    torch.testing.assert_close(out.sum(1), torch.ones(1, *size))


def test_a_single_pixel_gets_its_own_message_back():
    """K is 1 by 1 and normalised to 1, so each iteration adds 7 Q to the logarithm."""
    prob = torch.tensor([0.6, 0.4]).view(1, 2, 1, 1)
    u = prob.flatten().double().log()
    q = u.softmax(0)
    for _ in range(10):
        q = (u + 7 * q).softmax(0)
    out = DenseCRF()(prob, torch.full((1, 3, 1, 1), 9))
    torch.testing.assert_close(out.flatten(), q.float(), rtol=1e-4, atol=1e-5)


def _with(tensor, value):
    tensor = tensor.float()
    tensor[0, :, 2, 3] = value
    return tensor


_BAD = {
    'logits': lambda p, i: (p * 5, i),
    'negative': lambda p, i: (_with(p, torch.tensor([1.5, -0.5, 0])), i),
    'nan': lambda p, i: (_with(p, float('nan')), i),
    'infinite': lambda p, i: (_with(p, float('inf')), i),
    'size': lambda p, i: (p, i[..., :-1]),
    'number': lambda p, i: (p, i.repeat(2, 1, 1, 1)),
    'dims': lambda p, i: (p[0], i),
    'channels': lambda p, i: (p, i.repeat(1, 2, 1, 1)),
    'normalised': lambda p, i: (p, i.float() - 127),
    'image nan': lambda p, i: (p, _with(i, float('nan'))),
    'empty': lambda p, i: (p[..., :0], i[..., :0]),
}


@pytest.mark.parametrize(
    'kind, message',
    [
        ('logits', r'sums off 1 by up to 4.*softmax of the logits'),
        ('negative', 'smallest value of -0.5'),
        ('nan', 'the probabilities have NaN'),
        ('infinite', 'the probabilities have'),
        ('size', r'\(1, 3, 6, 7\) and the image \(1, 3, 6, 6\) disagree'),
        ('number', 'disagree in number'),
        ('dims', r'takes probabilities \(N, C, H, W\)'),
        ('channels', 'has 6 channels'),
        ('normalised', 'raw image, 0 to 255'),
        ('image nan', 'raw image, 0 to 255'),
        ('empty', r'got \(1, 3, 6, 0\)'),
    ],
)
def test_bad_input_is_named(kind, message):
    with pytest.raises(ValueError, match=message):
        DenseCRF()(*_BAD[kind](*_scene(6, 7, 3)))


@pytest.mark.parametrize(
    'setting, message',
    [
        (dict(pos_xy=0), 'pos_xy is a standard deviation'),
        (dict(bi_rgb=-3), 'bi_rgb is a standard deviation and must be above 0, got -3'),
        (dict(bi_xy=float('nan')), 'bi_xy'),
        (dict(bi_w=-1), 'bi_w must be 0 or more, got -1'),
        (dict(iterations=-1), 'iterations must be an integer of 0 or more, got -1'),
        (dict(iterations=2.5), 'iterations must be an integer'),
        (dict(chunk=0), 'chunk must be an integer of 1 or more'),
        (dict(normalization='both'), "normalization must be 'symmetric'"),
        (dict(clip=0), 'clip must be between 0 and 1'),
        (dict(prune=1), 'prune must be 0 or more and below 1'),
        (dict(prune='abc'), "^prune must be a number, got 'abc'$"),
        (dict(bi_w=float('inf')), '^bi_w must be a number, got inf$'),
        (dict(pos_xy=[3]), r'^pos_xy must be a number, got \[3\]$'),
        (dict(clip=None), '^clip must be a number, got None$'),
        (dict(iterations=True), 'iterations must be an integer of 0 or more, got True'),
    ],
)
def test_bad_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        DenseCRF(**setting)


# --- other people's code and devices --------------------------------------------------------------


def _pydensecrf(prob, image, setting):
    c, h, w = prob.shape[1:]
    crf = reference.DenseCRF2D(w, h, c)
    unary = -np.log(np.clip(prob[0].numpy().reshape(c, -1), 1e-5, None))
    crf.setUnaryEnergy(np.ascontiguousarray(unary, np.float32))
    crf.addPairwiseGaussian(sxy=setting['pos_xy'], compat=setting['pos_w'])
    rgb = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
    crf.addPairwiseBilateral(
        sxy=setting['bi_xy'], srgb=setting['bi_rgb'], rgbim=rgb, compat=setting['bi_w']
    )
    return torch.tensor(np.array(crf.inference(10))).view(1, c, h, w)


def _photos():
    """Photos of the VOC data, where there are any; else made-up scenes."""
    folder = Path(os.environ.get('MMSEG_EXT_DATA', 'data')) / 'voc12_subset' / 'JPEGImages'
    return sorted(folder.glob('*.jpg'))[3:500:166] or [None] * 2


def _photo_case(path, seed):
    if path is None:
        return _scene(240, 320, 21, seed=seed)
    from PIL import Image

    image = torch.from_numpy(np.array(Image.open(path).convert('RGB'))).permute(2, 0, 1)[None]
    g = torch.Generator().manual_seed(seed)
    logits = F.interpolate(
        4 * torch.randn(1, 21, 9, 9, generator=g), image.shape[2:], mode='bilinear'
    )
    return logits.softmax(1), image


@pytest.mark.oracle
@pytest.mark.skipif(reference is None, reason='needs the extra "crf" (pydensecrf2)')
@pytest.mark.parametrize('name', SETTINGS)
def test_equals_pydensecrf(name):
    for seed, path in enumerate(_photos()):
        prob, image = _photo_case(path, seed)
        expected, got = _pydensecrf(prob, image, SETTINGS[name]), DenseCRF(**SETTINGS[name])
        got = got(prob, image)
        assert (got.argmax(1) == expected.argmax(1)).float().mean() >= 0.999
        assert np.quantile((got - expected).abs().numpy(), 0.999) < 2e-3


@pytest.mark.gpu
def test_cuda_equals_cpu():
    prob, image = _scene(60, 80, 30)
    expected = DenseCRF()(prob, image)
    got = DenseCRF()(prob.cuda(), image.cuda()).cpu()
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)
