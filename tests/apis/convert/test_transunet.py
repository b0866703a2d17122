"""ImageNet weights for TransUNet: values by hand on small arrays, outputs against timm."""

import re

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from mmseg_ext.apis.convert.conversion import convert
from mmseg_ext.apis.convert.converted_file import convert_file
from mmseg_ext.apis.convert.sources import SOURCES

GOOGLE, TIMM = 'imagenet_r50vit_transunet', 'timm_r50vit_transunet'
BLOCK = 'Transformer/encoderblock_'
ATTENTION = 'MultiHeadDotProductAttention_1'


def _shapes(width=32, depths=(1, 1, 2), C=128, layers=2, side=2):
    """Names and shapes of Google's arrays that Beckschen/TransUNet or timm reads, in its order.

    Beckschen/TransUNet at ee8accecfd79f387071690f047b1a682176201fc (vit_seg_modeling.py) and
    26de0c4d9a5145589ea249d169af7f7130823e03 (vit_seg_modeling_resnet_skip.py); the four axes of the
    norms are what its ``view(-1)`` and timm's ``_load_weights`` are for.
    """
    heads, before = C // 64, width
    shapes = {'cls': (1, 1, C), 'conv_root/kernel': (7, 7, 3, width)}
    norms = {'gn_root': width}
    for stage, depth in enumerate(depths):
        inner = width * 2**stage
        for unit in range(depth):
            name = f'block{stage + 1}/unit{unit + 1}'
            shapes[f'{name}/conv1/kernel'] = (1, 1, before, inner)
            shapes[f'{name}/conv2/kernel'] = (3, 3, inner, inner)
            shapes[f'{name}/conv3/kernel'] = (1, 1, inner, 4 * inner)
            norms.update({f'{name}/gn1': inner, f'{name}/gn2': inner, f'{name}/gn3': 4 * inner})
            if unit == 0:
                shapes[f'{name}/conv_proj/kernel'] = (1, 1, before, 4 * inner)
                norms[f'{name}/gn_proj'] = 4 * inner
            before = 4 * inner
    for name, channels in norms.items():
        shapes.update({f'{name}/{leaf}': (1, 1, 1, channels) for leaf in ('scale', 'bias')})
    shapes.update({'embedding/kernel': (1, 1, before, C), 'embedding/bias': (C,)})
    shapes['Transformer/posembed_input/pos_embedding'] = (1, 1 + side * side, C)
    for name in [f'{BLOCK}{i}/LayerNorm_{n}' for i in range(layers) for n in (0, 2)]:
        shapes.update({f'{name}/{leaf}': (C,) for leaf in ('scale', 'bias')})
    shapes.update({f'Transformer/encoder_norm/{leaf}': (C,) for leaf in ('scale', 'bias')})
    for i in range(layers):
        for part in ('query', 'key', 'value'):
            shapes[f'{BLOCK}{i}/{ATTENTION}/{part}/kernel'] = (C, heads, 64)
            shapes[f'{BLOCK}{i}/{ATTENTION}/{part}/bias'] = (heads, 64)
        shapes[f'{BLOCK}{i}/{ATTENTION}/out/kernel'] = (heads, 64, C)
        shapes[f'{BLOCK}{i}/{ATTENTION}/out/bias'] = (C,)
        for n, (into, out) in enumerate(((C, 4 * C), (4 * C, C))):
            shapes[f'{BLOCK}{i}/MlpBlock_3/Dense_{n}/kernel'] = (into, out)
            shapes[f'{BLOCK}{i}/MlpBlock_3/Dense_{n}/bias'] = (out,)
    return shapes


def _arrays(**sizes):
    generator = np.random.default_rng(0)
    return {
        name: generator.normal(1 if name.endswith('scale') else 0, 0.1, shape).astype(np.float32)
        for name, shape in _shapes(**sizes).items()
    }


def _tensors(arrays, **changes):
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    state.update(changes)
    return {name: value for name, value in state.items() if value is not None}


def test_the_list_has_the_numbers_of_the_published_network():
    """97,888,576 is timm's count without class token and its position, in test_transunet.py."""
    shapes = _shapes(width=64, depths=(3, 4, 9), C=768, layers=12, side=14)
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == 97_888_576 + 2 * 768
    assert len(shapes) == 1 + 3 * (1 + 3 * 16 + 3) + 2 + 1 + 12 * 16 + 2


def test_values_by_hand():
    arrays = _arrays()
    extra = {'head/kernel': torch.ones(128, 9), 'head/bias': torch.ones(9),
             'pre_logits/kernel': torch.ones(128, 128)}  # fmt: skip
    done = convert(_tensors(arrays, **extra), SOURCES[GOOGLE])
    assert sorted(done.left_out) == ['cls', 'head/bias', 'head/kernel', 'pre_logits/kernel']
    assert {name.split('.')[1] for name in done.absent} == {'enter', 'decoder'}
    assert done.model['backbone'] == dict(
        type='TransUNet', img_size=32, stem_width=32, stem_depths=(1, 1, 2), embed_dims=128,
        num_layers=2, num_heads=2)  # fmt: skip
    got = {name: value.numpy() for name, value in done.state.items()}
    conv = arrays['block3/unit2/conv2/kernel']
    assert got['stem.stages.2.1.conv.0.weight'][5, 7, 0, 2] == conv[0, 2, 7, 5]
    project = arrays['block2/unit1/gn_proj/scale']
    assert (got['stem.stages.1.0.project.1.weight'] == project[0, 0, 0]).all()
    positions = arrays['Transformer/posembed_input/pos_embedding']
    assert got['pos_embed'][0, 9, 1, 0] == positions[0, 1 + 2 * 1 + 0, 9]  # row 1, column 0
    joined = got['layers.1.attn.attn.in_proj_weight']
    for place, part in enumerate(('query', 'key', 'value')):
        kernel = arrays[f'{BLOCK}1/{ATTENTION}/{part}/kernel']
        assert joined[place * 128 + 64 + 3, 17] == kernel[17, 1, 3]  # head 1, its channel 3
        bias = arrays[f'{BLOCK}1/{ATTENTION}/{part}/bias']
        assert got['layers.1.attn.attn.in_proj_bias'][place * 128 + 64 + 3] == bias[1, 3]
    out = arrays[f'{BLOCK}0/{ATTENTION}/out/kernel']
    assert got['layers.0.attn.attn.out_proj.weight'][11, 64 + 3] == out[1, 3, 11]
    dense = arrays[f'{BLOCK}0/MlpBlock_3/Dense_0/kernel']
    assert got['layers.0.ffn.layers.0.0.weight'][300, 11] == dense[11, 300]
    # a bijection but for class token and its position: no value is lost or comes from elsewhere
    kept = [a for name, a in arrays.items() if name != 'cls' and 'pos_embedding' not in name]
    kept = np.concatenate([*(a.ravel() for a in kept), positions[:, 1:].ravel()])
    found = np.concatenate([value.ravel() for value in got.values()])
    assert (np.sort(found) == np.sort(kept)).all()


QUERY = f'{BLOCK}0/{ATTENTION}/query/kernel'


@pytest.mark.parametrize('changes, message', [
    ({'block1/unit1/gn1/bias': None},
     '1 missing (such as backbone.stem.stages.0.0.reduce.1.bias), 0 unknown, 0 of another shape'),
    ({QUERY: None},
     '1 missing (such as backbone.layers.0.attn.attn.in_proj_weight), 2 unknown (such as '
     f'{BLOCK}0/{ATTENTION}/key/kernel), 0 of another shape'),
    ({QUERY: torch.zeros(128, 3, 64)}, f'3 unknown (such as {QUERY}), 0 of'),
    ({QUERY: torch.zeros(2)}, f'3 unknown (such as {QUERY}), 0 of'),
    ({'block4/unit1/conv1/kernel': torch.zeros(1, 1, 512, 256)},
     '0 missing, 1 unknown (such as block4/unit1/conv1/kernel), 0 of'),
    ({'embedding/kernel': torch.zeros(16, 16, 3, 128)},
     'backbone.patch_embed.weight is (128, 3, 16, 16) instead of (128, 512, 1, 1))'),
    ({'conv_root/kernel': None}, 'no conv_root/kernel'),  # a ViT without convolutions
    ({'Transformer/posembed_input/pos_embedding': torch.zeros(1, 6, 128)},
     'no positions of a class token and a square, but (1, 6, 128)'),
    ({'Transformer/posembed_input/pos_embedding': torch.zeros(1, 5, 100)}, 'no heads of 64'),
])  # fmt: skip
def test_other_arrays_are_refused_with_names(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        convert(_tensors(_arrays(), **changes), SOURCES[GOOGLE])


def test_a_file_of_arrays_starts_the_network_at_another_size(tmp_path):
    path, target = tmp_path / 'R50+ViT-B_16.npz', tmp_path / 'ours.pth'
    np.savez(path, **_arrays())
    done = convert_file(path, target, name=GOOGLE, source=SOURCES[GOOGLE])
    start = dict(init_cfg=dict(type='Pretrained', checkpoint=str(target)))
    same, larger = (MODELS.build({**done.model['backbone'], 'img_size': size, **start})
                    for size in (32, 48))  # fmt: skip
    same.init_weights()
    larger.init_weights()
    assert same.pos_embed.shape[2:] == (2, 2) and larger.pos_embed.shape[2:] == (3, 3)
    assert torch.equal(same.pos_embed, done.state['pos_embed'])
    x = torch.randn(1, 512, 3, 3)
    with torch.no_grad():  # at the larger size, its own positions are those resized on the way
        torch.testing.assert_close(larger.eval().encode(x), same.eval().encode(x))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r'ViT-B_16.npz cannot be read as a checkpoint'):
        convert_file(path, target, name=GOOGLE, source=SOURCES[GOOGLE])


@pytest.fixture
def timm():
    try:
        import timm
    except Exception as error:  # a torchvision for another torch raises RuntimeError
        pytest.skip(f'timm: {error}')
    return timm


def _like_the_public_transunet(theirs):
    """Give timm's network what Beckschen/TransUNet changed: padding, groups and epsilons."""
    stem = theirs.patch_embed.backbone
    for name, module in stem.named_modules():
        if isinstance(module, nn.Conv2d):
            module.eps, module.same_pad = 1e-5, False
            module.padding = tuple(k // 2 for k in module.kernel_size)
        elif isinstance(module, nn.GroupNorm):
            projects = 'downsample' in name
            module.eps = 1e-5 if projects else 1e-6
            module.num_groups = module.num_channels if projects else 32
    stem.stem.pool = nn.MaxPool2d(3, 2)


def _equal(got, expected):
    assert expected.std() > 1e-2
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@pytest.mark.oracle
@torch.no_grad()
def test_both_kinds_equal_timm(timm, tmp_path):
    """timm reads the arrays itself; ours are converted from the same file and from timm's state."""
    path, target = tmp_path / 'arrays.npz', tmp_path / 'ours.pth'
    np.savez(path, **_arrays(width=64, depths=(3, 4, 9), C=128, layers=2, side=3))
    theirs = timm.create_model('vit_base_r50_s16_224', embed_dim=128, depth=2, num_heads=2,
                               img_size=48, num_classes=0).eval()  # fmt: skip
    theirs.load_pretrained(str(path))
    _like_the_public_transunet(theirs)
    image = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    stem = theirs.patch_embed.backbone(image)
    tokens = theirs.patch_embed.proj(stem).flatten(2).transpose(1, 2) + theirs.pos_embed[:, 1:]
    tokens = theirs.norm(theirs.blocks(tokens))  # no class token, as in TransUNet
    for done in (convert(theirs.state_dict(), SOURCES[TIMM]),
                 convert_file(path, target, name=GOOGLE, source=SOURCES[GOOGLE])):  # fmt: skip
        assert len(done.left_out) == 1
        ours = MODELS.build(done.model['backbone']).eval()
        missing, unexpected = ours.load_state_dict(done.state, strict=False)
        absent = [key for key in done.absent if not key.endswith('num_batches_tracked')]
        assert [f'backbone.{key}' for key in missing] == absent and unexpected == []
        maps = ours.stem(image)
        _equal(maps[-1], stem)
        _equal(ours.encode(maps[-1]).flatten(2).transpose(1, 2), tokens)


@pytest.mark.oracle
def test_the_whole_networks_names_and_shapes_are_timm_s(timm):
    """Every tensor of timm's network has a place, without one left over, and so has every array."""
    with torch.device('meta'):
        theirs = timm.create_model('vit_base_r50_s16_224', num_classes=21843)
    state = {key: torch.zeros(()).expand(v.shape) for key, v in theirs.state_dict().items()}
    done = convert(state, SOURCES[TIMM])
    assert sorted(done.left_out) == ['cls_token', 'head.bias', 'head.weight']
    assert sum(v.numel() for v in done.state.values()) == 97_888_576
    assert done.model['backbone'] == dict(
        type='TransUNet', img_size=224, stem_width=64, stem_depths=(3, 4, 9), embed_dims=768,
        num_layers=12, num_heads=12)  # fmt: skip
