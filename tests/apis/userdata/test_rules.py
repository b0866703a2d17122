"""What names classes has a rule, or is reported; the rules of single types by hand."""

import logging

import pytest
from mmengine.config import Config
from mmengine.model import BaseModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.losses import CrossEntropyLoss
from mmseg.registry import MODELS, TRANSFORMS
from support.paths import ROOT
from support.user_folder import write_folder

import mmseg_ext.models  # noqa: F401
from mmseg_ext.apis.config.signatures import arguments_of
from mmseg_ext.apis.userdata import apply as applied
from mmseg_ext.apis.userdata.apply import apply_dataset
from mmseg_ext.apis.userdata.changes import Case
from mmseg_ext.apis.userdata.crop import Crop
from mmseg_ext.apis.userdata.data import read_user_data
from mmseg_ext.apis.userdata.rules import (
    HEAD,
    INNER,
    RULES,
    follow,
    follow_model,
    rule_of,
    without_rule,
)
from mmseg_ext.apis.userdata.starts import Start, row_start

HINT = (
    'takes {} and has no rule: say in mmseg_ext/apis/userdata/rules.py what becomes of it on '
    "users' data, as docs/adding_a_paper.md explains"
)
LIBRARIES = ('mmseg_ext', 'mmseg', 'mmcv')


def _registered(*packages):
    """Modules that name classes by arguments of theirs: losses, transforms, parts of networks."""
    found = {}
    for registry in (MODELS, TRANSFORMS):
        while registry is not None:
            for kind in registry.module_dict.values():
                if kind.__module__.split('.')[0] in packages:
                    found.setdefault(kind.__name__, kind)  # mmseg's before mmcv's
            registry = registry.parent
    return found


def _lacking(kind):
    """The hint for a module that lacks a rule, or nothing."""
    place = HEAD if issubclass(kind, BaseDecodeHead) else INNER if _in_network(kind) else {}
    lacking = without_rule(sorted(arguments_of(kind)[0]), {**place, **rule_of(kind)})
    return f'{kind.__name__} {HINT.format(", ".join(lacking))}' if lacking else ''


def _in_network(kind):
    """Whether it stands where ``INNER`` holds: a segmentor, or a head within a head."""
    return '.segmentors.' in kind.__module__ or '.decode_heads.' in kind.__module__


@pytest.mark.parametrize('package', ['mmseg_ext', 'mmseg'])
def test_whatever_takes_classes_has_a_rule(package):
    kinds = {n: k for n, k in _registered(package).items() if isinstance(k, type)}
    asked = [kind for kind in kinds.values() if without_rule(arguments_of(kind)[0], {})]
    assert len(asked) >= 10
    if package == 'mmseg_ext':
        names = {kind.__name__ for kind in asked}
        assert {'BalancedCrossEntropyLoss', 'SoftmaxFocalLoss', 'BorderWeight'} <= names
    elsewhere = {'CLIPTextEncoder'}  # names the data set of a vocabulary: reported, see below
    lacking = [_lacking(kind) for kind in asked if kind.__name__ not in elsewhere]
    assert [hint for hint in lacking if hint] == []


def test_a_loss_without_a_rule_is_told_how_to_get_one():
    class ToyLoss(BaseModule):
        def __init__(self, class_weight=None, loss_weight=1.0):
            super().__init__()

    MODELS.register_module(module=ToyLoss)
    try:
        kind = _registered(ToyLoss.__module__.split('.')[0])['ToyLoss']
        assert 'ToyLoss takes class_weight' in _lacking(kind)
        assert 'docs/adding_a_paper.md' in _lacking(kind)
        RULES['ToyLoss'] = RULES['CrossEntropyLoss']
        assert _lacking(kind) == ''
    finally:
        MODELS.module_dict.pop('ToyLoss')
        RULES.pop('ToyLoss', None)


def test_every_rule_is_of_something_and_of_its_arguments():
    kinds = _registered(*LIBRARIES)
    assert len(RULES) >= 20
    ours = {name: rule for name, rule in RULES.items() if '.' not in name}
    assert sorted(set(ours) - set(kinds)) == []
    for name, rule in ours.items():
        assert set(rule) <= arguments_of(kinds[name])[0], name


# --------------------------------------------------------------------------- single rules


@pytest.fixture(scope='module')
def case(tmp_path_factory):
    """Classes background, cat and dog; 255 is ignored."""
    return Case(read_user_data(write_folder(tmp_path_factory.mktemp('rules')) / 'mine.yml'))


def _warnings(notes):
    return [note.text for note in notes if note.level == logging.WARNING]


def test_heads_and_heads_within_them_but_nothing_else_get_the_number_of_classes(case):
    weight = dict(type='CrossEntropyLoss', class_weight=[1.0] * 20)
    model = dict(
        type='EncoderDecoder',
        backbone=dict(type='ResNet', num_classes=1000),
        decode_head=dict(
            type='IterativeDecodeHead',
            num_classes=19,
            kernel_generate_head=dict(type='FCNHead', num_classes=19, loss_decode=dict(weight)),
            kernel_update_head=[dict(type='KernelUpdateHead', num_classes=19, out_channels=512)],
        ),
        auxiliary_head=[dict(type='FCNHead', num_classes=19), dict(type='FCNHead')],
    )
    notes = follow_model(model, case)
    head = model['decode_head']
    inner = [head['kernel_generate_head'], *head['kernel_update_head'], *model['auxiliary_head']]
    assert [one['num_classes'] for one in (head, *inner)] == [3] * 5
    assert head['ignore_index'] == model['auxiliary_head'][1]['ignore_index'] == 255
    assert head['kernel_update_head'][0]['out_channels'] == 512
    assert 'ignore_index' not in head['kernel_update_head'][0]  # it does not take it
    assert len(inner[0]['loss_decode']['class_weight']) == 4  # one more, for "no object"
    assert model['backbone']['num_classes'] == 1000
    assert _warnings(notes) == [
        'ResNet (model.backbone) names classes by num_classes, and no rule says what that becomes '
        'on these data: it stays as in the row. Set it by --cfg-options, or declare a rule '
        '(docs/adding_a_paper.md)'
    ]


@pytest.mark.parametrize(
    'settings, expected',
    [
        (dict(type='LovaszLoss', loss_type='binary', classes=[1]), dict(loss_type='multi_class')),
        (dict(type='FocalLoss', alpha=[0.1] * 19), {}),
        (dict(type='FocalLoss', alpha=0.5), dict(alpha=0.5)),
        (dict(type='OhemCrossEntropy', ignore_label=0), dict(ignore_label=255)),
        (dict(type='DiceLoss', ignore_index=None), dict(ignore_index=None)),
        (dict(type='mmdet.DiceLoss'), {}),  # which takes no ignored label
        (dict(type='mmdet.RandomCrop', crop_size=(2, 1)), dict(crop_size=(2, 1))),
        (dict(type='mmseg.RandomCrop'), dict(ignore_index=255)),
        (dict(type='TverskyLoss'), dict(ignore_index=255)),
        (dict(type='RandomRotate', prob=1, seg_pad_val=0), dict(prob=1, seg_pad_val=255)),
        (dict(type='RandomCrop', crop_size=(9, 9)), dict(crop_size=(9, 9), ignore_index=255)),
        (dict(type='Pad', pad_val=dict(img=1, seg=0)), dict(pad_val=dict(img=1, seg=255))),
        (dict(type='Pad', pad_val=7), dict(pad_val=7)),
        (dict(type='LetterboxAugment'), dict(label_fill=0)),
        (dict(type='BorderWeight', background=2), dict(background=0, ignore_index=255)),
    ],
)
def test_single_rules(case, settings, expected):
    kind = settings['type']
    assert _warnings(follow(settings, case, 'here')) == []
    assert settings == dict(type=kind, **expected)


@pytest.mark.parametrize(
    'settings, expected',
    [
        (dict(type='RandomCrop', crop_size=(512, 512)), dict(crop_size=(96, 128))),
        (dict(type='Letterbox', size=(512, 512)), dict(size=(96, 128))),
        (dict(type='Resize', scale=(512, 512)), dict(scale=(128, 96))),  # to the row's crop
        (dict(type='Resize', scale=(512, 256)), dict(scale=(128, 96))),  # to another size
        (dict(type='Resize', scale=(2048, 512), keep_ratio=True), dict(scale=(150, 100))),
        (dict(type='ResizeShortestEdge', scale=640, max_size=9), dict(scale=640)),
        (dict(type='RandomChoiceResize', scales=[300, 600]), dict(scales=[(75, 50), (150, 100)])),
    ],
)
def test_sizes_of_steps(case, settings, expected):
    cropped = Case(case.data, crop=Crop(before=(512, 512), after=(96, 128), native=(100, 150)))
    assert follow(settings, cropped, 'here') == []
    assert {key: settings[key] for key in expected} == expected


def test_a_derived_type_follows_the_rule_of_the_one_that_it_is_derived_from(case):
    class OwnEntropy(CrossEntropyLoss):
        pass

    settings = dict(type=OwnEntropy, class_weight=[1.0] * 19)
    assert 'class weights of OwnEntropy' in follow(settings, case, 'here')[0].text
    assert len(settings['class_weight']) == 3


def test_what_names_as_many_classes_as_there_are_is_not_reported(case):
    assert follow(dict(type='NoSuchThing', num_classes=3, positive=None), case, 'here') == []
    assert len(follow(dict(type='NoSuchThing', num_classes=4), case, 'here')) == 1
    assert len(follow(dict(type='NoSuchThing', class_names=['a', 'b', 'c']), case, 'here')) == 1


def test_a_row_with_a_loss_and_a_step_of_a_users_own_is_reported(case, monkeypatch):
    cfg = Config.fromfile(ROOT / 'configs/mfp/mfp_mobilenetv2_bmseg.py')
    cfg.model.decode_head.loss_decode = dict(type='OwnLoss', class_weight=[0.2, 0.8])
    for part in ('train', 'val'):
        cfg[f'{part}_dataloader'].dataset.pipeline.append(dict(type='OwnStep', label_map={1: 0}))
    said = []
    monkeypatch.setattr(applied, 'print_log', lambda text, _, level: said.append((level, text)))
    apply_dataset(cfg, case.data.file.path)
    warned = [text.split(', and no rule')[0] for level, text in said if level == logging.WARNING]
    assert warned == [
        'mine: OwnLoss (model.decode_head.loss_decode) names classes by class_weight',
        'mine: OwnStep (a pipeline) names classes by label_map',
    ]
    assert cfg.model.decode_head.loss_decode.class_weight == [0.2, 0.8]


@pytest.mark.parametrize(
    'given, dataset, expected',
    [
        ('work_dirs/some_row/epoch_50.pth', None, Start('some_row', 'epoch_50.pth')),
        ('work_dirs/fcn_r50-d8/iter_10.pth', 'mine', Start('fcn_r50-d8', 'iter_10.pth')),
        ('work_dirs/some_row-mine/iter_10.pth', 'mine', Start('some_row', 'iter_10.pth')),
        ('weights/work_dirs/a/b.pth', None, None),
        (None, None, None),
    ],
)
def test_the_run_that_a_row_starts_from(given, dataset, expected):
    assert row_start(Config(dict(load_from=given)), dataset) == expected
