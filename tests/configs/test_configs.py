"""Every config: what its name claims, that its numbers agree, that it builds and takes a step."""

import copy
import inspect
import math
import re
from functools import cache, partial

import pytest
import torch
from mmengine import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from support.paths import ROOT

from mmseg_ext.apis.config.classes import check_class_weights
from mmseg_ext.apis.config.metrics import metrics_of
from mmseg_ext.apis.config.packages import check_packages
from mmseg_ext.apis.config.semi import is_adversarial, is_semi, plain_model
from mmseg_ext.apis.labels.plan import Plan, settle
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.tables.jobs import all_options, load_row
from mmseg_ext.apis.tables.rows import read_tables
from mmseg_ext.models.layers.dense_crf import SETTINGS
from mmseg_ext.models.segmentors.adversarial import AdversarialSegmentor
from mmseg_ext.models.segmentors.semi import METHODS, SemiSegmentor

CONFIGS = sorted(p for p in (ROOT / 'configs').rglob('*.py')
                 if '_base_' not in p.parts and not p.name.startswith('_'))  # fmt: skip
NAMES = [p.stem for p in CONFIGS]

# the name in all documented commands stays as it is; what it says in the words of the others
DOCUMENTED = {'fmsi_xception_voc': 'fmsi_xception_voc12aug'}

_loaded = cache(Config.fromfile)  # many tests read all of them


def load(path):
    """A config; of a semi-supervised one the segmentor and the labelled data, and its own model."""
    return _apart(copy.deepcopy(_loaded(path)))


def _apart(cfg):
    if is_semi(cfg.model):
        cfg.semi, cfg.model = cfg.model, plain_model(cfg.model)
        cfg.unlabelled = cfg.train_dataloader.dataset.datasets[1]
        cfg.train_dataloader.dataset = cfg.train_dataloader.dataset.datasets[0]
    return cfg


def _is_method(cfg, name):
    """Whether a semi-supervised config has the settings, and the views, of --semi NAME."""
    arguments = inspect.signature(SemiSegmentor.__init__).parameters
    defaults = {key: value.default for key, value in arguments.items()}
    wanted = {**defaults, **METHODS[name]}
    every = ('momentum', 'targets', 'threshold', 'cutmix', 'strong_weights', 'feature_weight')
    every = (*every, 'two_students', 'student_view')
    (view,) = [step for step in cfg.unlabelled.pipeline if step.type == 'StrongView']
    if '_voc12aug' in cfg.filename:  # as first published: without a teacher, or with their weight
        other = dict(momentum=[None], strong_weights=[(100.0,)])
    else:
        other = {}
    return (
        all(
            _plain(cfg.semi.get(key, defaults[key])) in (_plain(wanted[key]), *other.get(key, ()))
            for key in every
        )
        and view.num_views >= len(wanted['strong_weights'])
        and 'EMATeacherHook' in [hook.type for hook in cfg.custom_hooks]
        and cfg.optim_wrapper.constructor == 'SemiOptimWrapperConstructor'
    )


def _is_adversarial(cfg):
    """Whether a config has Hung et al.'s weights and an optimiser for each network."""
    arguments = inspect.signature(AdversarialSegmentor.__init__).parameters
    settings = ('mode', 'adversarial_weight', 'unlabelled_weight', 'self_weight', 'self_threshold')
    given = [cfg.semi.get(key, arguments[key].default) for key in (*settings, 'self_start')]
    judge = cfg.optim_wrapper.discriminator.optimizer
    return (
        given == ['semi', 0.01, 0.001, 0.1, 0.2, 0.25]
        and (judge.type, tuple(judge.betas)) == ('Adam', (0.9, 0.99))
        and judge.lr == (2.5e-5 if cfg.max_iters == 400 else 1e-4)
        and cfg.optim_wrapper.constructor == 'PartsOptimWrapperConstructor'
    )


def _plain(value):
    return tuple(value) if isinstance(value, list) else value


SETR = ('num_convs', 'up_scale', 'kernel_size')  # of its head
# token of a name -> what the loaded config must show
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def _context(cfg):
    return cfg.model.decode_head.get('context', {})


def _crf_setting(cfg):
    vgg = cfg.model.backbone.type == 'DeepLabVGG16'
    return SETTINGS['deeplabv2_vgg16' if vgg else 'deeplabv2_resnet101']


TOKENS = {
    'xception': lambda c: c.model.backbone.type == 'XceptionDeepLab',
    'mobilenetv2': lambda c: c.model.backbone.type == 'MobileNetV2Dilated',
    'deeplabv3plus': lambda c: c.model.decode_head.type == 'DeepLabV3PlusHead',
    'fmsi': lambda c: c.model.decode_head.type == 'FMSIHead',
    'defconv3': lambda c: tuple(c.model.decode_head.context.rates) == (6, 12, 18),
    'defconv5': lambda c: (
        c.model.decode_head.context.type == 'DeformASPP'
        and 'rates' not in c.model.decode_head.context
    ),
    'rates5': lambda c: (
        c.model.decode_head.context.type == 'ASPP'
        and tuple(c.model.decode_head.context.rates) == (6, 8, 12, 18, 24)
    ),
    'flow': lambda c: 'flow' in c.model.decode_head,
    'ggca': lambda c: c.model.decode_head.context.attention.type == 'GGCA',
    'lr7e3': lambda c: c.optim_wrapper.optimizer.lr == 7e-3,
    'mid4': lambda c: c.model.backbone.num_middle_blocks == 4,
    'repo': lambda c: any(h.type == 'FlatCosineLrHook' for h in c.custom_hooks),
    'frozen': lambda c: any(h.type == 'FreezeBackboneHook' for h in c.custom_hooks),
    'camvid180': lambda c: (
        c.scale == (240, 180) and c.train_dataloader.dataset.type == 'CamVidDataset'
    ),
    '12k': lambda c: c.train_cfg.max_iters == 12000,
    'camvid': lambda c: c.train_dataloader.dataset.type == 'CamVidDataset' and 'scale' not in c,
    'shapes': lambda c: c.train_dataloader.dataset.type == 'ShapesDataset',
    'shapes7': lambda c: c.train_dataloader.dataset.type == 'Shapes7Dataset',
    'voc12aug': lambda c: (
        c.train_dataloader.dataset.get('extra_ann_file', '').endswith('/aug.txt')
        or c.train_dataloader.dataset.ann_file.startswith('ImageSets/UniMatch/')
    ),
    '183': lambda c: (
        c.train_dataloader.dataset.ann_file.endswith('/183/labeled.txt') and c.train_images == 183
    ),
    'voc12': lambda c: (
        c.train_dataloader.dataset.type == 'VOCDataset'
        and not c.train_dataloader.dataset.get('extra_ann_file')
    ),
    'subset': lambda c: c.train_dataloader.dataset.data_root.endswith('voc12_subset'),
    'trainval91': lambda c: 'trainval91' in c.train_dataloader.dataset.ann_file,
    'mfp': lambda c: 'MFPHead' == c.model.decode_head.type or _context(c).type == 'AFFP',
    'affp': lambda c: _context(c) == dict(type='AFFP'),
    'aspp': lambda c: (
        len(c.model.decode_head.rates) == 4
        if c.model.decode_head.type == 'DeepLabV2Head'
        else _context(c).with_sppm is False  # keeps ASPP's global mean
    ),
    'fsm': lambda c: _context(c).type == 'AFFP',
    'frm': lambda c: 'with_frm' not in _context(c),
    'attn': lambda c: _context(c).type == 'AFFP' and 'attention' in _context(c),
    **{
        name.lower(): lambda c, name=name: _context(c).attention.type == name
        for name in ('CBAM', 'ECA', 'GAM', 'LSK', 'SGE', 'SimAM', 'ParNet', 'PSCAN')
    },
    'up': lambda c: 'upsample_cfg' in c.model.decode_head,
    'nearest': lambda c: c.model.decode_head.upsample_cfg.type == 'nearest',
    'carafe': lambda c: c.model.decode_head.upsample_cfg.type == 'carafe_torch',
    'deconv': lambda c: {u.type for u in c.model.decode_head.upsample_cfg} == {'deconv_bn'},
    'lite': lambda c: tuple(c.model.decode_head.skip_channels) == (64, 64, 64),
    'softgate': lambda c: _context(c).gate == 'straight_through',
    'hrnet': lambda c: (
        c.model.backbone.type == 'HRNetAlignCorners' and c.model.decode_head.align_corners
    ),
    'w18': lambda c: c.model.backbone.extra.stage4.num_channels[0] == 18,
    'nonlocal': lambda c: c.model.decode_head.type == 'NLHead',
    'encnet': lambda c: c.model.decode_head.type == 'EncHead',
    'r50': lambda c: (
        c.model.backbone.depth == 50
        if 'backbone' in c.model
        else 'resnet50' in c.model.get('arch', 'maskrcnn_resnet50_fpn')
    ),
    'segformer': lambda c: c.model.decode_head.type == 'SegformerHead',
    'b0': lambda c: c.model.backbone.embed_dims == 32,
    'unet': lambda c: (
        c.model.backbone.type in ('UNet', 'UnpaddedUNet')
        or c.model.decode_head.type == 'UNetVGGHead'
    ),
    's5d16': lambda c: c.model.backbone.num_stages == 5,
    'bmseg': lambda c: c.data_root.endswith('bmseg') and tuple(c.crop_size) == (512, 512),
    'bmseg24': lambda c: c.data_root.endswith('bmseg24'),
    'bone': lambda c: {c[k].dataset.target for k in LOADERS} == {'bone'},
    'deeplabv2': lambda c: c.model.decode_head.type == 'DeepLabV2Head',
    'r101': lambda c: c.model.backbone.depth == 101,
    'msc': lambda c: tuple(c.model.scales) == (0.5, 0.75, 1.0),
    'crf': lambda c: (
        c.model.type == 'CRFEncoderDecoder'
        and [m.get('prefix') for m in c.test_evaluator] == [None, 'before_crf']
        and c.model.crf == dict(type='DenseCRF', prune=1e-3, **_crf_setting(c))
    ),
    'largefov': lambda c: tuple(c.model.decode_head.rates) == (12,),
    'cocostuff10k': lambda c: c.data_root.endswith('coco_stuff10k') and c.num_classes == 171,
    'cocostuff164k': lambda c: c.data_root.endswith('coco_stuff164k') and c.num_classes == 171,
    'vertebra': lambda c: c.data_root.endswith('vertebra_ct'),
    'brainmri': lambda c: c.data_root.endswith('brain_mri') and c.num_classes == 4,
    'pretrained': lambda c: c.model.backbone.init_cfg.type == 'Pretrained',
    'batch4': lambda c: c.train_dataloader.batch_size == 4,
    'scratch': lambda c: c.init_note == 'random' and not c.model.backbone.get('init_cfg'),
    'segnet': lambda c: c.model.backbone.type == 'SegNet',
    'resegnet': lambda c: c.model.backbone.type == 'ResSegNet',
    'vgg16': lambda c: (
        c.model.backbone.type in ('DeepLabVGG16', 'VGG16') or c.model.backbone.arch == 'vgg16'
    ),
    'basic': lambda c: c.model.backbone.arch == 'basic',
    'bayesian': lambda c: (
        c.model.type == 'MonteCarloEncoderDecoder' and c.model.backbone.bayesian == 'center'
    ),
    'bce': lambda c: c.model.decode_head.loss_decode.type == 'BalancedCrossEntropyLoss',
    **{
        f'fcn{stride}s': lambda c, maps=maps: (
            c.model.decode_head.type == 'FCNSkipHead'
            and len(c.model.decode_head.in_channels) == maps
        )
        for stride, maps in ((32, 2), (16, 3), (8, 4))
    },
    'atonce': lambda c: (
        tuple(c.model.decode_head.skip_scales) == (1e-4, 1e-2) and not c.get('load_from')
    ),
    'vgg16bn': lambda c: c.model.backbone.type == 'VGG16' and c.model.backbone.batch_norm is True,
    'unpadded': lambda c: c.model.backbone.type == 'UnpaddedUNet',
    'bn': lambda c: c.model.backbone.batch_norm is True,
    'isbi2012': lambda c: c.data_root.endswith('isbi2012'),
    'deeplabv3': lambda c: c.model.decode_head.type == 'ASPPHead',
    'pspnet': lambda c: c.model.decode_head.type == 'PSPHead',
    'unet3plus': lambda c: (
        c.model.backbone.type == 'UNet3Plus'
        and [head.in_index for head in c.model.auxiliary_head] == [0, 1, 2, 3]
    ),
    'swinunet': lambda c: c.model.backbone.type == 'SwinUNet',
    'transdeeplab': lambda c: c.model.backbone.type == 'TransDeepLab',
    'transunet': lambda c: c.model.backbone.type == 'TransUNet',
    'setr': lambda c: c.model.decode_head.type in ('SETRUPHead', 'SETRMLAHead'),
    'naive': lambda c: [c.model.decode_head[key] for key in SETR] == [1, 4, 1],
    'mla': lambda c: (c.model.neck.type, c.model.decode_head.type) == ('MLANeck', 'SETRMLAHead'),
    'pup': lambda c: [c.model.decode_head[key] for key in SETR] == [4, 2, 3],
    'segmenter': lambda c: c.model.decode_head.type == 'SegmenterMaskTransformerHead',
    'upernet': lambda c: c.model.decode_head.type == 'UPerHead',
    'dilateformer': lambda c: c.model.backbone.type == 'DilateFormer',
    'vitb16': lambda c: (c.model.backbone.embed_dims, c.model.backbone.patch_size) == (768, 16),
    'vitl16': lambda c: (c.model.backbone.embed_dims, c.model.backbone.patch_size) == (1024, 16),
    'maskrcnn': lambda c: c.model.type == 'MaskRCNNSegmentor',
    'convnext': lambda c: c.model.backbone.type == 'mmpretrain.ConvNeXt',
    'tiny': lambda c: c.model.backbone.arch == 'tiny',
    'timm': lambda c: c.model.backbone.type == 'TIMMBackbone',
    'xception65': lambda c: c.model.backbone.model_name == 'xception65',
    'adversarial': lambda c: is_adversarial(c.semi) and _is_adversarial(c),
    **{name: lambda c, name=name: _is_method(c, name) for name in METHODS},
    'semi': lambda c: _is_method(c, 'fixmatch'),  # tables have the others as options of rows
    'eighth': lambda c: c.train_dataloader.dataset.ann_file.endswith(
        ('/labelled_1_8.txt', '/1_8/labeled.txt')
    ),
    'active': lambda c: Plan('', '', **settle({}, c.active_learning)).per_round(367) == 18,
    'noskip': lambda c: (
        c.model.backbone.fuse_mode == 'none' and c.model.backbone.last_concat is False
    ),
}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def test_configs_were_found():
    assert len(CONFIGS) >= 144


def test_names_are_identifiers_and_unique():
    assert [n for n in NAMES if not re.fullmatch(r'[a-z][a-z0-9_]*', n)] == []
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize('path', CONFIGS, ids=NAMES)
def test_every_token_of_the_name_is_true(path):
    cfg = load(path)
    for token in DOCUMENTED.get(path.stem, path.stem).split('_'):
        assert token in TOKENS, f'{path.stem}: teach this test what {token!r} claims'
        assert TOKENS[token](cfg), f'{path.stem} claims {token!r}'


def test_names_without_a_split_lead_to_those_with_it():
    """What was ``_voc``, and lay in another paper's folder, is named by the message."""
    split = [path for path in CONFIGS if path.stem.endswith('_voc12aug')]
    assert len(split) >= 36
    for path in split:
        old = path.parents[1] / 'survey' / f'{path.stem.removesuffix("12aug")}.py'
        with pytest.raises(FileNotFoundError, match=rf'did you mean .*{path.name}'):
            load_config(old)


def test_options_of_rows_with_few_labels_are_the_methods():
    rows = [row for table in read_tables('survey').values() for row in table.rows if row.options]
    rows = [row for row in rows if row.config.startswith('semi_')]
    assert len(rows) == 8
    for row in rows:
        cfg = _apart(load_row(row, all_options(row, ())))
        assert _is_method(cfg, row.label.lower().replace(' ', '')), row.label


def _batches(images):
    """Batches of an epoch in UniMatch's code: two images on each of four processes."""
    return math.ceil(images / 4) // 2


VOC_LISTS = {92: 10490, 183: 10399, 366: 10216, 732: 9850, 1464: 9118}  # labelled, unlabelled


def test_rows_with_few_labels_show_how_good_their_labels_and_probabilities_are():
    """In each validation; and tables have ECE beside mIoU, of the last checkpoint."""
    seen = 0
    for cfg in (load(path) for path in CONFIGS):
        if 'semi' in cfg:
            seen += 1
            pseudo = [] if is_adversarial(cfg.semi) else ['PseudoLabelMetric']
            kinds = [metric['type'] for metric in metrics_of(cfg, 'val')]
            assert kinds == ['SegMetric', 'CalibrationMetric', *pseudo], cfg.filename
    tables = [t for name, t in read_tables('survey').items() if name.startswith('few-labels')]
    assert seen >= 11 and len(tables) >= 6
    assert {table.metrics[:2] for table in tables} == {('mIoU', 'ECE')}
    assert {table.protocol.checkpoint for table in tables} == {'last'}


def test_rows_on_unimatchs_lists_have_its_80_epochs():
    tables = read_tables('survey')
    rows = [row for name in ('few-labels-voc', 'few-labels-voc-r101') for row in tables[name].rows]
    assert len(rows) == 21
    for row in rows:
        labelled = int(row.label.split()[-1])
        cfg = _apart(load_row(row, all_options(row, ())))
        lists = [cfg.train_dataloader.dataset.ann_file]
        images = labelled
        if 'semi' in cfg:
            lists.append(cfg.unlabelled.ann_file)
            images = VOC_LISTS[labelled]
        folder = f'ImageSets/UniMatch/{labelled}'
        assert lists == [f'{folder}/labeled.txt', f'{folder}/unlabeled.txt'][: len(lists)]
        assert cfg.train_images == labelled and cfg.train_cfg.max_iters == 80 * _batches(images)
        assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_iters
        depth = 101 if 'R101' in row.label else 50
        start = f'open-mmlab://resnet{depth}_v1c'
        assert (cfg.model.backbone.depth, cfg.model.backbone.init_cfg.checkpoint) == (depth, start)


def test_a_loss_that_is_not_halved_has_half_the_rate_and_twice_the_decay():
    """A step of SGD is rate x (gradient + decay x weight)."""
    one, other = (
        load(CONFIGS[NAMES.index(f'{name}deeplabv3plus_r50_voc12aug_183')]).optim_wrapper.optimizer
        for name in ('', 'unimatch_')
    )
    gradient, weight = 0.7, 3.0
    halved = one.lr * (gradient / 2 + one.weight_decay * weight)
    assert other.lr * (gradient + other.weight_decay * weight) == pytest.approx(halved)


def test_two_files_never_load_to_the_same_config():
    seen = {}
    for path in CONFIGS:
        text = repr(load(path).to_dict())
        assert text not in seen, f'{path.stem} is {seen[text]}'
        seen[text] = path.stem


@pytest.mark.parametrize('path', CONFIGS, ids=NAMES)
def test_numbers_agree(path):
    cfg = load(path)
    loop = cfg.train_cfg
    length = loop.get('max_iters') or loop.max_epochs
    by_epoch = 'max_epochs' in loop
    for scheduler in cfg.param_scheduler:
        assert scheduler.by_epoch == by_epoch and scheduler.end <= length
    if cfg.param_scheduler and not by_epoch:
        assert cfg.param_scheduler[-1]['end'] == length
    assert loop.val_interval <= length
    crop = tuple(cfg.crop_size)
    assert tuple(cfg.model.data_preprocessor.size) == crop
    steps = {t['type']: t for t in cfg.train_dataloader.dataset.pipeline}
    keys = dict(RandomCrop='crop_size', LetterboxAugment='size', AlignedResize='scale')
    sizes = [tuple(steps[s][k]) for s, k in keys.items() if s in steps]
    assert sizes == [crop]
    others = cfg.model.get('auxiliary_head', [])
    for head in [_head(cfg.model), *(others if isinstance(others, list) else [others])]:
        assert head.num_classes == cfg.num_classes and head.ignore_index == cfg.ignore_index
        if head.type == 'MaskRCNNSegmentor':  # no loss per pixel
            continue
        losses = head.loss_decode if isinstance(head.loss_decode, list) else [head.loss_decode]
        means = [loss for loss in losses if loss.type != 'SoftDiceLoss']  # Dice has no pixel mean
        assert means and all(loss.avg_non_ignore is True for loss in means)
    if 'LetterboxAugment' not in steps:  # which leaves nothing to pad
        assert cfg.model.data_preprocessor.seg_pad_val == cfg.ignore_index
    assert cfg.custom_imports.imports == ['mmseg_ext'] and cfg.default_scope == 'mmseg'
    assert cfg.init_note


def _head(model):
    """What holds the classes: the decode head, or a segmentor without one."""
    return model.get('decode_head', model)


def _sample(size, num_classes):
    label = torch.randint(0, num_classes, (1, *size))
    label[:, :2] = 255
    meta = dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0] * 4)
    sample = SegDataSample(metainfo=meta)
    sample.gt_sem_seg = PixelData(data=label)
    return sample


def _architectures():
    """One config for each distinct model: rows that differ in data or rate alone build once."""
    models = {}
    for path in CONFIGS:
        model = load(path).model
        if model.type == 'CRFEncoderDecoder':  # the network of the row it inherits
            continue
        model.get('backbone', {}).pop('init_cfg', None)  # weights are not the architecture
        models.setdefault(str(sorted(model.to_dict().items())), (path.stem, model))
    return list(models.values())


def _need_packages(model):
    try:
        check_packages(model)
    except ImportError as error:
        pytest.skip(str(error))


def _without_downloads(model):
    if 'detector' in model:
        model.detector = dict(min_size=64, max_size=64)
    if 'pretrained' in model.get('backbone', {}):
        model.backbone.pretrained = False


@pytest.mark.parametrize('name, model', [pytest.param(*m, id=m[0]) for m in _architectures()])
def test_builds_takes_a_step_and_predicts(name, model):
    torch.manual_seed(0)
    _need_packages(model)
    _without_downloads(model)
    backbone = model.get('backbone', {})
    if backbone.get('type') == 'VisionTransformer' and len(backbone.get('out_indices', ())) == 4:
        backbone.num_layers, backbone.out_indices = 4, (0, 1, 2, 3)
    if 'num_middle_blocks' not in backbone and backbone.get('type') == 'XceptionDeepLab':
        model.backbone.num_middle_blocks = 1  # the integers of test_fmsi_head cover all 16
    if backbone.get('type') == 'DeepLabResNet':
        model.backbone.depth = 50  # test_deeplabv2_head counts all of 101
    if backbone.get('type') == 'UnpaddedUNet':  # test_unpadded_unet counts the paper's widths
        model.backbone.widths = (4, 8, 16, 32, 64)
        model.decode_head.in_channels = 4
    if backbone.get('type') == 'UNet3Plus':  # test_unet3plus counts the paper's widths
        model.backbone.widths = (4, 8, 16, 32, 64)
        for head in (model.decode_head, *model.auxiliary_head):
            head.in_channels = 64 if head.get('in_index') == 0 else 20
    if 'fc7' in backbone.get('out', ()):  # test_fcn_skip_head has 4096 channels and pad100
        model.backbone.update(fc_channels=16, padding='same')
        model.decode_head.padding = 'same'
        model.decode_head.in_channels = (*model.decode_head.in_channels[:-1], 16)
    model.data_preprocessor.size = (64, 64)
    net = MODELS.build(model)
    net.init_weights()
    check_class_weights(net)
    classes = _head(model).num_classes
    data = dict(inputs=[torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in range(2)],
                data_samples=[_sample((64, 64), classes) for _ in range(2)])  # fmt: skip
    loss, _ = net.parse_losses(net(**net.data_preprocessor(data, True), mode='loss'))
    assert loss.isfinite()
    loss.backward()
    without = [n for n, p in net.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    net.eval()
    with torch.no_grad():
        data = dict(inputs=[torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)],
                    data_samples=[_sample((64, 64), classes)])  # fmt: skip
        result = net(**net.data_preprocessor(data, False), mode='predict')[0]
    assert result.pred_sem_seg.data.shape == (1, 64, 64)
    assert 0 <= result.pred_sem_seg.data.min() and result.pred_sem_seg.data.max() < classes


SETR_VITL = 303_507_456  # of the snapshot of setr_pup_vitl16_voc12aug, less its head
UNET_CHANNELS = 2 * (64 + 128 + 256 + 512 + 1024) + 2 * (64 + 128 + 256 + 512)


@pytest.mark.parametrize('name, expected', [
    ('deeplabv3plus_xception_voc12aug', 54_713_557),
    ('fmsi_xception_defconv3_voc12aug', 55_117_579),
    ('fmsi_xception_defconv5_voc12aug', 65_350_447),
    ('fmsi_xception_rates5_voc12aug', 63_692_757),
    ('fmsi_xception_defconv5_flow_voc12aug', 66_062_127),
    ('fmsi_xception_defconv5_flow_ggca_voc12aug', 66_062_715),
    ('fmsi_xception_voc', 66_290_397),
    ('unet_vgg16_voc12aug', 24_892_437),
    ('pspnet_mobilenetv2_voc12aug', 2_377_413),
    ('hrnet_w18_voc12aug', 9_641_391),  # the repository's has 270 biases more
    # the paper's network by its sum, other classes, two numbers of a norm for each channel
    ('unet_unpadded_bn_voc12aug', 31_031_810 + (21 - 2) * 65 + 2 * UNET_CHANNELS),
    ('unet_unpadded_bn_camvid180', 31_031_810 + (11 - 2) * 65 + 2 * UNET_CHANNELS),
    ('unet_unpadded_isbi2012', 31_031_810),
    # the public code's 26,971,777 of one class
    ('unet3plus_voc12aug', 26_971_777 + (21 - 1) * (9 * 320 + 1)),
    ('unet3plus_camvid180', 26_971_777 + (11 - 1) * (9 * 320 + 1)),
    ('swinunet_voc12aug', 27_170_052),
    # the public code's 21,143,676 of 9 classes
    ('transdeeplab_voc12aug', 21_143_676 + (21 - 9) * 192),
    ('transdeeplab_camvid180', 21_143_676 + (11 - 9) * 192),
    ('transunet_voc12aug', 105_278_821 + (20**2 - 14**2) * 768),  # positions for 320 pixels
    ('transunet_bmseg', 105_914_725 - 19 * (9 * 16 + 1)),  # 21 classes at 512 pixels, less 19
    ('setr_naive_vitl16_voc12aug', SETR_VITL + 2 * 1024 + 1024 * 256 + 2 * 256 + 257 * 21),
    ('setr_mla_vitl16_voc12aug', SETR_VITL + 4 * (2 * 1024 + 1024 * 256 + 9 * 256**2 + 4 * 256)
     + 4 * (9 * 256 * 128 + 9 * 128**2 + 4 * 128) + 513 * 21),
    ('hrnet_w18_bmseg', 9_641_391 - 19 * (270 + 1)),
    ('hrnet_w18_camvid180', 9_641_391 - 10 * (270 + 1)),
    ('pspnet_mobilenetv2_camvid180', 2_377_413 - 10 * (80 + 1)),
    ('swinunet_camvid180', 27_170_052 - 10 * 96),
    ('transunet_camvid180', 105_278_821 + (8**2 - 14**2) * 768 - 10 * (9 * 16 + 1)),
    ('unet_s5d16_bmseg', 28_987_925 - 19 * (64 + 1)),
])  # fmt: skip
def test_parameter_integers_that_are_stated(name, expected, monkeypatch):
    """As papers or repositories state them, or summed by hand."""
    assert _parameters(name, monkeypatch) == expected


# Snapshots of our own output, taken on 2026-11-21: stated nowhere, and no proof that a network is
# right, but a change of one shows.
@pytest.mark.parametrize('name, expected', [
    ('fcn8s_vgg16bn_camvid180', 27_849_345),
    ('deeplabv3_mobilenetv2_camvid180', 7_142_411),
    ('deeplabv3_r50_voc12aug', 65_749_365),
    ('encnet_r50_voc12aug', 33_529_322),
    ('encnet_r50_bmseg', 33_509_828),
    ('nonlocal_r50_voc12aug', 47_660_149),
    ('nonlocal_r50_bmseg', 47_650_402),
    ('segformer_b0_voc12aug', 3_720_565),
    ('segformer_b0_bmseg', 3_715_682),
    ('segformer_b0_camvid180', 3_717_995),
    ('segmenter_vitb16_voc12aug', 101_918_250),
    ('setr_pup_vitl16_voc12aug', 307_645_717),
    ('setr_naive_vitb16_camvid180', 85_896_459),
    ('setr_mla_vitb16_camvid180', 90_628_107),
    ('upernet_vitb16_voc12aug', 141_818_901),
    ('upernet_dilateformer_tiny_voc12aug', 46_729_973),
    ('upernet_dilateformer_tiny_camvid180', 46_724_843),
])  # fmt: skip
def test_parameter_integers_are_those_of_the_snapshot(name, expected, monkeypatch):
    assert _parameters(name, monkeypatch) == expected


def _parameters(name, monkeypatch):
    cfg = load(CONFIGS[NAMES.index(name)])
    # mmseg's transformers read their drop rates off a tensor, which must have values
    monkeypatch.setattr(torch, 'linspace', partial(torch.linspace, device='cpu'))
    with torch.device('meta'):
        keys = [k for k in ('backbone', 'neck', 'decode_head') if cfg.model.get(k)]
        parts = [MODELS.build(cfg.model[k]) for k in keys]
    return sum(p.numel() for part in parts for p in part.parameters())
