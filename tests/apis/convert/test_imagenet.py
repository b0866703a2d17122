"""ImageNet weights of timm and torchvision: outputs equal to theirs, every tensor accounted for."""

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from mmseg_ext.apis.convert.conversion import convert
from mmseg_ext.apis.convert.sources import SOURCES

pytestmark = pytest.mark.oracle


@pytest.fixture(autouse=True)
def package():
    """Makes torchvision's or timm's model by name, with random weights and statistics."""
    try:
        import timm
        import torchvision
    except Exception as error:  # torchvision that does not match torch raises RuntimeError
        pytest.skip(f'timm or torchvision does not import: {error}')

    def make(name, **arguments):
        torch.manual_seed(0)
        if name.startswith(('vgg', 'resnet', 'mobilenet')):
            model = getattr(torchvision.models, name)(weights=None, **arguments)
        else:
            model = timm.create_model(name, pretrained=False, **arguments)
        for key, tensor in model.state_dict().items():
            if key.endswith('running_var'):
                tensor.uniform_(0.7, 1.4)
            elif key.endswith('running_mean') or (tensor.dim() == 1 and key.endswith('bias')):
                tensor.normal_(0, 0.1)
            elif tensor.dim() == 1 and tensor.is_floating_point():
                tensor.uniform_(0.7, 1.4)
            elif key.endswith(('relative_position_bias_table', 'cls_token', 'pos_embed')):
                tensor.normal_(0, 0.5)
        return model.eval()

    return make


def _ours(source, state, *, left_out, num_absent=0):
    """The converted backbone; every public tensor is in it or was left out."""
    done = convert(state, SOURCES[source])
    assert (len(done.left_out), len(done.absent)) == (left_out, num_absent)
    computed = sum(key.endswith('relative_position_index') for key in done.state)
    assert len(done.state) == len(state) - left_out + computed
    model = MODELS.build(done.model['backbone'])
    missing, unexpected = model.load_state_dict(done.state, strict=False)
    absent = [key for key in done.absent if not key.endswith('num_batches_tracked')]  # never missed
    assert [f'backbone.{key}' for key in missing] == absent and unexpected == []
    model.eval()  # returns nothing in some of mmseg's
    return model


def _equal(got, expected):
    assert expected.std() > 1e-2
    # relative to the size of the map: random weights make it anything
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def _image(*size):
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))


def test_xception65(package):
    theirs = package('xception65', output_stride=16)
    ours = _ours('timm_xception65', theirs.state_dict(), left_out=2)
    x = _image(65, 97)
    with torch.no_grad():
        entry, middle, last = ours(x)
        _equal(last, theirs.forward_features(x))
        _equal(middle, theirs.blocks[:19](theirs.stem(x)))
        inner = theirs.blocks[1].stack  # up to the ReLU where timm's own tap is
        before = inner[: [name for name, _ in inner.named_children()].index('act3')]
        _equal(entry, before(theirs.blocks[0](theirs.stem(x))))


@pytest.mark.parametrize(
    'source, left_out, absent, stages',
    [
        ('torchvision_vgg16bn_segnet', 6, 12 * 7, 5),
        ('torchvision_vgg16bn_resegnet', 6 + 6 * 7, 2 * 7, 3),
    ],
)
def test_vgg16_bn(package, source, left_out, absent, stages):
    theirs = package('vgg16_bn')
    ours = _ours(source, theirs.state_dict(), left_out=left_out, num_absent=absent)
    x = _image(32, 64)
    end = [i for i, m in enumerate(theirs.features) if isinstance(m, torch.nn.MaxPool2d)]
    with torch.no_grad():
        expected, got = theirs.features[: end[stages - 1]](x), x
        for number, convs in enumerate(ours.encoder):
            got = convs(F.max_pool2d(got, 2) if number else got)
    _equal(got, expected)


def test_vgg16(package):
    theirs = package('vgg16')
    ours = _ours('torchvision_vgg16_deeplab', theirs.state_dict(), left_out=6)
    kept = [m for m in theirs.features if not isinstance(m, torch.nn.MaxPool2d)]
    mine = [m for m in ours.features if not isinstance(m, torch.nn.MaxPool2d)]
    x = _image(16, 16)
    with torch.no_grad():  # pooling and dilation differ by design: the first four stages without
        _equal(torch.nn.Sequential(*mine[:20])(x), torch.nn.Sequential(*kept[:20])(x))
    for a, b in zip(mine, kept, strict=True):
        assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize('depth', [18, 34, 50, 101])
def test_resnet(package, depth):
    theirs = package(f'resnet{depth}')
    ours = _ours('torchvision_resnet', theirs.state_dict(), left_out=2)
    x = _image(64, 96)
    with torch.no_grad():
        got = ours(x)
        x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
        for stage, mine in enumerate(got, 1):
            x = getattr(theirs, f'layer{stage}')(x)
            _equal(mine, x)


def test_mobilenet_v2(package):
    theirs = package('mobilenet_v2')
    ours = _ours('torchvision_mobilenet_v2', theirs.state_dict(), left_out=6 + 2)
    x = _image(64, 96)
    with torch.no_grad():
        for index, mine in zip(ours.out_indices, ours(x), strict=True):
            count = sum((1, 2, 3, 4, 3, 3, 1)[: index + 1])
            _equal(mine, theirs.features[: count + 1](x))


@pytest.mark.parametrize('name', ['hrnet_w18', 'hrnet_w32'])
def test_hrnet(package, name):
    theirs = package(name)
    count = sum(not key.startswith(('conv', 'bn', 'layer1', 'trans', 'stage'))
                for key in theirs.state_dict())  # fmt: skip
    ours = _ours('imagenet_hrnet', theirs.state_dict(), left_out=count)
    for module in ours.modules():  # the one difference that the source names
        if type(module).__name__ == 'Upsample':
            module.mode, module.align_corners = 'nearest', None
    x = _image(64, 96)
    with torch.no_grad():
        got = ours(x)
        for name in ('1', '2'):
            conv, norm, act = (getattr(theirs, part + name) for part in ('conv', 'bn', 'act'))
            x = act(norm(conv(x)))
        for mine, expected in zip(got, theirs.stages(x), strict=True):
            _equal(mine, expected)


NARROW = dict(img_size=448, embed_dim=24, depths=(2, 4, 2, 2), num_heads=(1, 2, 4, 8))


@pytest.mark.parametrize('layout', ['timm', 'authors'])
@pytest.mark.parametrize('arguments', [dict(), NARROW], ids=['tiny', 'narrow'])
def test_swin(package, layout, arguments):
    """The last map of the first is of one window, which mmseg shifts and others do not."""
    theirs = package('swin_tiny_patch4_window7_224', **arguments)
    state = theirs.state_dict()
    left_out = 2
    if layout == 'authors':  # the merging ends a stage, and buffers are saved
        state = {_authors_name(key): value for key, value in state.items()}
        state['layers.0.blocks.1.attn_mask'] = torch.zeros(64, 49, 49)
        state['layers.0.blocks.0.attn.relative_position_index'] = torch.zeros(49, 49).long()
        left_out = 4
    ours = _ours('imagenet_swin', state, left_out=left_out, num_absent=6)
    size = arguments.get('img_size', 224)
    x = _image(size, size)
    with torch.no_grad():
        got, x = ours(x), theirs.patch_embed(x)
        for index, stage in enumerate(theirs.layers):
            x = stage(x)
            # norms of the first three maps are ours alone, and start as the plain ones
            y = theirs.norm(x) if index == 3 else F.layer_norm(x, x.shape[-1:])
            if index < 3 or arguments:
                _equal(got[index], y.permute(0, 3, 1, 2))


def _authors_name(key):
    if '.downsample.' not in key:
        return key.replace('head.fc.', 'head.')
    stage, rest = key.removeprefix('layers.').split('.', 1)
    return f'layers.{int(stage) - 1}.{rest}'


@pytest.mark.parametrize('name', ['vit_tiny_patch16_224', 'vit_small_patch32_224'])
def test_vit(package, name):
    theirs = package(name)
    ours = _ours('imagenet_vit', theirs.state_dict(), left_out=2)
    x = _image(224, 224)
    with torch.no_grad():
        tokens = theirs.forward_features(x)[:, 1:]
        (got,) = ours(x)
        _equal(got.flatten(2).transpose(1, 2), tokens)
