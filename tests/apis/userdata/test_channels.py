"""image_channels and image_max_value: every kind of row on 1, 4, 5 channels of 8, 12, 16 bit."""

import copy

import numpy as np
import pytest
import tifffile
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS
from support.kinds import KINDS
from support.paths import ROOT
from support.steps import first_of, load, one_step, without_weights
from support.user_folder import TEXT, write_folder

from mmseg_ext.apis.config.check import check_config
from mmseg_ext.apis.config.semi import take_apart
from mmseg_ext.apis.userdata.apply import apply_dataset
from mmseg_ext.core.inflation import inflate_conv

PATHS = {p.stem: p for p in (ROOT / 'configs').rglob('*.py')}
PAPERS = sorted(p.name for p in (ROOT / 'configs').iterdir() if p.name[0].isalpha())
# one row of each paper, which trains an iteration
TRAINED = {
    'deeplabv2': 'deeplabv2_vgg16_largefov_voc12aug',
    'fmsi': 'deeplabv3plus_mobilenetv2_voc12aug',
    'mfp': 'mfp_attn_eca',
    'segnet': 'segnet_basic_camvid',
    'survey': 'unet_unpadded_bn_camvid180',
}


def _folder(folder, channels, bits):
    """Images of so many channels and bits, in a TIFF each; the first three are red, green, blue."""
    write_folder(folder, size=(64, 64), counts=(3, 2))
    paths = sorted(folder.rglob('images/*/*.png'))
    assert len(paths) == 5
    for index, path in enumerate(paths):
        random = np.random.default_rng(index)
        values = random.integers(0, 2**bits, (64, 64, channels)).astype(f'uint{8 * -(-bits // 8)}')
        pixels = values[..., 0] if channels == 1 else values
        tifffile.imwrite(path.with_suffix('.tif'), pixels, photometric='minisblack',
                         planarconfig=None if channels == 1 else 'contig')  # fmt: skip
        path.unlink()
    text = f'{TEXT}unlabelled: images/train\nimage_channels: {channels}\n'
    (folder / 'mine.yml').write_text(text + f'image_max_value: {2**bits - 1}\n' * (bits > 8))
    return folder


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    made = {}

    def of(channels, bits):
        if (channels, bits) not in made:
            place = tmp_path_factory.mktemp(f'{channels}x{bits}')
            made[channels, bits] = _folder(place, channels, bits)
        return made[channels, bits] / 'mine.yml'

    return of


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def _plain(path):
    cfg = copy.deepcopy(load(path))
    take_apart(cfg)
    return cfg


def test_every_kind_of_network_is_widened(folders):
    built = set()
    for path in map(PATHS.get, KINDS.values()):
        cfg = copy.deepcopy(load(path))
        before = _plain(path).model.data_preprocessor
        apply_dataset(cfg, folders(4, 12))
        check_config(cfg)
        take_apart(cfg)
        images = cfg.model.data_preprocessor
        rgb = list(before.mean)[:: 1 if before.get('bgr_to_rgb') else -1]
        assert images.mean[:3] == rgb and images.mean[3] == pytest.approx(sum(rgb) / 3)
        assert len(images.std) == 4 and not images.bgr_to_rgb
        kind = (cfg.model.get('backbone') or {}).get('backbone')
        if kind in built or _needs_another_package(cfg.model):
            continue
        backbone = MODELS.build(without_weights(cfg.model).backbone)
        assert first_of(backbone).in_channels == 4, path.name
        built.add(kind)
    assert len(built) == len({kind for _, kind in KINDS}) - 3  # those of other packages


def _needs_another_package(model):
    kind = str((model.get('backbone') or {}).get('backbone'))
    return kind.startswith('mmpretrain.') or kind == 'TIMMBackbone' or 'detector' in model


def test_a_row_of_every_paper_is_trained():
    assert sorted(TRAINED) == PAPERS


@pytest.mark.parametrize('paper', sorted(TRAINED))
def test_a_row_of_every_paper_trains_an_iteration_on_4_channels_of_12_bit(paper, folders):
    one_step(PATHS[TRAINED[paper]], folders(4, 12), 4)


@pytest.mark.parametrize('channels, bits', [(1, 8), (1, 16), (4, 8), (5, 8), (5, 16)])
def test_other_channels_and_bits_train(channels, bits, folders):
    one_step(PATHS['mfp_attn_eca'], folders(channels, bits), channels)


def test_heads_that_take_the_image_itself_know_its_channels(folders):
    cfg = copy.deepcopy(load(PATHS['fcn8s_vgg16bn_camvid180']))
    assert list(cfg.model.decode_head.in_channels)[0] == 3
    apply_dataset(cfg, folders(5, 8))
    assert list(cfg.model.decode_head.in_channels) == [5, 256, 512, 512]
    one_step(PATHS['fcn8s_vgg16bn_camvid180'], folders(5, 8), 5)


@pytest.mark.parametrize('channels, bits', [(1, 16), (5, 12)])
def test_every_kind_of_pipeline_reads_the_images(channels, bits, folders):
    seen = set()
    for path in map(PATHS.get, KINDS.values()):
        text = str(_plain(path).train_dataloader.dataset.get('pipeline'))
        if text in seen:
            continue
        seen.add(text)
        cfg = copy.deepcopy(load(path))
        apply_dataset(cfg, folders(channels, bits))
        for part in ('train', 'val', 'test'):
            dataset = DATASETS.build(cfg[f'{part}_dataloader'].dataset)
            for index in (0, len(dataset) - 1) * 3:
                inputs = dataset[index]['inputs']
                inputs = inputs['img'] if isinstance(inputs, dict) else inputs
                assert inputs.shape[0] == channels, (path.name, part)
    assert len(seen) >= 8


def test_blue_is_loaded_first_where_files_hold_colors(folders, tmp_path):
    """The weights' red goes where the loader puts red: of colors last, of other channels first."""
    color = _folder(tmp_path / 'color', 4, 8)
    for path in color.rglob('*.tif'):
        pixels = tifffile.imread(path)
        tifffile.imwrite(path, pixels, photometric='rgb', extrasamples=['unspecified'])
    row = PATHS['mfp_attn_eca']
    weight = torch.randn(32, 3, 3, 3)
    for file, places in ((color / 'mine.yml', (2, 1, 0)), (folders(4, 8), (0, 1, 2))):
        cfg = copy.deepcopy(load(row))
        apply_dataset(cfg, file)
        network = MODELS.build(without_weights(cfg.model))
        first = first_of(network)
        state = network.state_dict()
        name = next(n for n, p in network.named_parameters() if p is first.weight)
        state[name] = weight[: first.out_channels]
        network.load_state_dict(state)
        assert torch.equal(first.weight, inflate_conv(state[name], 4, rgb_index=places))
        image = DATASETS.build(cfg.val_dataloader.dataset)[0]['inputs']
        assert image.shape[0] == 4
