"""Which settings count as changed, on small configs whose differences are written out by hand."""

import copy

import pytest
from mmengine.config import Config

from mmseg_ext.core.checkpoints import settings_of
from mmseg_ext.engine.resume_changes import find_changes

BASE = dict(
    model=dict(
        type='EncoderDecoder',
        pretrained='a.pth',
        backbone=dict(type='ResNet', with_cp=False, init_cfg=dict(type='Pretrained')),
        decode_head=dict(
            type='FCNHead',
            loss_decode=[dict(type='CrossEntropyLoss', class_weight=[1, 2]), dict(type='DiceLoss')],
        ),
        test_cfg=dict(mode='whole'),
    ),
    train_dataloader=dict(
        batch_size=2,
        num_workers=4,
        sampler=dict(type='InfiniteSampler', shuffle=True),
        dataset=dict(
            type='FolderDataset',
            data_root='/old/streets',
            ann_file='/old/streets_splits/train.txt',
            label_map={0: 0, 7: 1},
            pipeline=[dict(type='Load'), dict(type='Flip', prob=0.5), dict(type='Flip', prob=0.1)],
        ),
    ),
    val_dataloader=dict(batch_size=1),
    optim_wrapper=dict(
        type='OptimWrapper',
        paramwise_cfg=dict(custom_keys={'head.conv': dict(lr_mult=10)}),
    ),
    train_cfg=dict(max_iters=9, val_interval=3),
    custom_hooks=[dict(type='NonFiniteHook', action='stop')],
    work_dir='a',
)


def changes(edit) -> list[str]:
    """What is found when a copy of the config is edited; both are read from their text."""
    edited = copy.deepcopy(BASE)
    edit(edited)
    then, now = (settings_of(dict(cfg=Config(one).pretty_text)) for one in (BASE, edited))
    return [str(change) for change in find_changes(then, now)]


def test_an_unchanged_config_has_no_changes_and_an_unknown_one_neither():
    assert changes(lambda cfg: None) == []
    assert find_changes({}, BASE) == []


def test_what_changes_no_step_is_left_out():
    def edit(cfg):
        cfg['work_dir'] = 'b'
        cfg['val_dataloader'] = dict(batch_size=8)
        cfg['train_cfg']['val_interval'] = 1
        cfg['model'].update(pretrained=None, test_cfg=dict(mode='slide'))
        cfg['model']['backbone'].update(with_cp=True, init_cfg=None)
        cfg['train_dataloader'].update(num_workers=0, persistent_workers=True, pin_memory=True)
        cfg['train_dataloader']['dataset'].update(
            data_root='/new/disk/streets',
            ann_file='/new/streets_splits/train.txt',
            serialize_data=1,
        )
        cfg['custom_hooks'].append(dict(type='RecomputeHook', module='backbone'))
        cfg['auto_scale_lr'] = {}
        cfg['vis_backends'] = [dict(type='TensorboardVisBackend')]

    assert changes(edit) == []


@pytest.mark.parametrize(
    ('edit', 'wanted'),
    [
        (
            lambda cfg: cfg['train_dataloader'].update(batch_size=4),
            ['train_dataloader.batch_size: 2 -> 4'],
        ),
        (
            lambda cfg: cfg['model']['decode_head']['loss_decode'][1].update(loss_weight=9),
            ['model.decode_head.loss_decode.1.loss_weight: None -> 9'],
        ),
        (
            lambda cfg: cfg['model']['decode_head']['loss_decode'][0].update(class_weight=[1, 3]),
            ['model.decode_head.loss_decode.0.class_weight: [1, 2] -> [1, 3]'],
        ),
        (
            lambda cfg: cfg['train_dataloader']['dataset'].update(ann_file='/old/eighth.txt'),
            ['train_dataloader.dataset.ann_file: /old/streets_splits/train.txt -> /old/eighth.txt'],
        ),
        (
            lambda cfg: cfg['train_dataloader']['dataset'].update(data_root='/old/fields'),
            ['train_dataloader.dataset.data_root: /old/streets -> /old/fields'],
        ),
        (
            lambda cfg: cfg['train_dataloader']['dataset']['label_map'].update({9: 1}),
            ['train_dataloader.dataset.label_map.9: None -> 1'],
        ),
        (
            lambda cfg: cfg['optim_wrapper']['paramwise_cfg']['custom_keys'].update(
                {'head.conv': dict(lr_mult=1)}
            ),
            ['optim_wrapper.paramwise_cfg.custom_keys.head.conv.lr_mult: 10 -> 1'],
        ),
        (
            lambda cfg: cfg.update(auto_scale_lr=dict(enable=True)),
            ['auto_scale_lr.enable: None -> True'],
        ),
    ],
)
def test_a_change_is_named_by_its_place(edit, wanted):
    assert changes(edit) == wanted


def test_hooks_that_come_or_go_are_listed_and_the_others_compared():
    def edit(cfg):
        cfg['custom_hooks'] = [dict(type='EMAHook'), dict(type='NonFiniteHook', action='skip')]

    assert changes(edit) == [
        'custom_hooks.type: NonFiniteHook -> EMAHook, NonFiniteHook',
        'custom_hooks.NonFiniteHook.action: stop -> skip',
    ]
    gone = 'custom_hooks.type: NonFiniteHook -> None'
    assert changes(lambda cfg: cfg.pop('custom_hooks')) == [gone]


def test_the_second_step_of_a_kind_is_compared_with_the_second():
    def edit(cfg):
        cfg['train_dataloader']['dataset']['pipeline'][1:1] = [dict(type='Crop')]
        cfg['train_dataloader']['dataset']['pipeline'][3]['prob'] = 0.7

    place = 'train_dataloader.dataset.pipeline'
    assert changes(edit) == [
        f'{place}.type: Load, Flip, Flip -> Load, Crop, Flip, Flip',
        f'{place}.Flip2.prob: 0.1 -> 0.7',
    ]


@pytest.mark.parametrize(('kind', 'told'), [('index', False), ('color', True)])
def test_colors_count_where_masks_hold_them(kind, told):
    then, now = (
        dict(train_dataloader=dict(dataset=dict(mask_format=kind, metainfo=dict(palette=colors))))
        for colors in ([[0, 0, 0], [9, 0, 0]], [[0, 0, 0], [8, 0, 0]])
    )
    place = 'train_dataloader.dataset.metainfo.palette'
    wanted = [f'{place}: [[0, 0, 0], [9, 0, 0]] -> [[0, 0, 0], [8, 0, 0]]'] if told else []
    assert [str(change) for change in find_changes(then, now)] == wanted


def test_other_training_images_of_a_user_s_file_are_named():
    then, now = (
        {**BASE, 'user_data': dict(file='/a/mine.yml', images='e', train_images=digest)}
        for digest in 'fg'
    )
    found = [str(change) for change in find_changes(then, now)]
    assert found == ['training images that mine.yml lists: those of then -> others']
    assert find_changes(then, {**then, 'user_data': dict(then['user_data'], images='h')}) == []
    del then['user_data']['train_images']  # of an older version
    assert find_changes(then, now) == []


def test_a_long_value_is_cut_short():
    text = changes(lambda cfg: cfg['model'].update(note='x' * 500))[0]
    assert text == f'model.note: None -> {"x" * 120}...'


@pytest.mark.parametrize('odd', ['', 'model = 3', 'custom_hooks = [1, dict(type=[2])]\nmodel = []'])
def test_a_foreign_config_makes_no_error(odd):
    then = settings_of(dict(cfg=odd))
    assert bool(find_changes(then, BASE)) == bool(odd)
