"""Settings that fit neither each other nor the data: one line that names the config."""

import pytest
from mmseg.models import FCNHead
from torch import nn

from mmseg_ext.apis.config.classes import check_class_weights
from mmseg_ext.apis.run import testing
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.training import train


@pytest.mark.parametrize('number, told', [(1, 'tells 1 class'), (2, 'tells 2'), (7, 'tells 7')])
def test_other_numbers_of_classes_stop_before_the_first_step(
    tiny_config, tmp_path, number, told
) -> None:
    options = {'model.decode_head.num_classes': number}
    cfg = load_config(tiny_config, options=options, work_dir=tmp_path / 'run')
    with pytest.raises(ValueError, match=f'num_classes: the network {told}.*set num_classes=3'):
        train(cfg)
    assert not (tmp_path / 'run').exists()


def test_the_test_refuses_them_too(tiny_config, tmp_path, random_weights) -> None:
    variant = tmp_path / 'more.py'
    variant.write_text(
        f'_base_ = {str(tiny_config)!r}\nmodel = dict(decode_head=dict(num_classes=5))\n'
    )
    weights = random_weights(variant, tmp_path / 'w.pth')
    with pytest.raises(ValueError, match='tells 5 classes apart, and the test data have 3'):
        testing.test(load_config(variant, work_dir=tmp_path / 'test'), weights)


@pytest.mark.parametrize(
    'loss', ['CrossEntropyLoss', 'FocalLoss', 'TverskyLoss', 'SoftmaxFocalLoss']
)
@pytest.mark.parametrize('count', [2, 7])
def test_as_many_class_weights_as_classes(tiny_config, tmp_path, loss, count) -> None:
    """Tversky's loss, for one, took the first three of seven."""
    right = dict(type='DiceLoss', use_sigmoid=False)
    wrong = dict(type=loss, class_weight=[1.0] * count, loss_name='loss_second')
    options = {'model.decode_head.loss_decode': [right, wrong]}
    cfg = load_config(tiny_config, options=options, work_dir=tmp_path / 'run')
    told = f'model.decode_head.loss_decode.class_weight: {loss} has {count} weights for 3 classes'
    with pytest.raises(ValueError, match=told):
        train(cfg)
    assert not (tmp_path / 'run').exists()


def test_right_numbers_of_class_weights_pass() -> None:
    """One for each class; for the one channel of a sigmoid, one."""
    plain = FCNHead(in_channels=2, channels=2, num_classes=2, loss_decode=_weighted([1.0, 2.0]))
    single = FCNHead(
        in_channels=2,
        channels=2,
        num_classes=2,
        out_channels=1,
        threshold=0.3,
        loss_decode=_weighted([3.0], use_sigmoid=True),
    )
    check_class_weights(nn.ModuleDict(dict(plain=plain, single=single, layer=nn.Linear(1, 1))))
    wrong = FCNHead(in_channels=2, channels=2, num_classes=3, loss_decode=_weighted([1.0, 2.0]))
    with pytest.raises(ValueError, match=r'model.heads.0.loss_decode.class_weight: Cross'):
        check_class_weights(nn.ModuleDict(dict(heads=nn.ModuleList([wrong]))))


def _weighted(weights, **more) -> dict:
    return dict(type='CrossEntropyLoss', class_weight=weights, **more)


@pytest.mark.parametrize(
    'options, message',
    [
        ({'model.decode_head.in_channels': 33}, 'the first step fails.*RuntimeError'),
        ({'model.decode_head.in_index': 9}, 'the first step fails.*IndexError'),
        ({'model.decode_head.channels': 'many'}, 'it cannot be built'),
        ({'optim_wrapper.optimizer.lr': -1}, 'Invalid learning rate'),
    ],
)
def test_settings_that_do_not_fit_each_other_are_one_line(
    tiny_config, tmp_path, options, message
) -> None:
    cfg = load_config(tiny_config, options=options, work_dir=tmp_path / 'run')
    with pytest.raises(ValueError, match=message) as caught:
        train(cfg)
    assert f'tiny.py with --cfg-options {next(iter(options))}: ' in str(caught.value)
    assert '\n' not in str(caught.value) and caught.value.__cause__ is not None
    assert not (tmp_path / 'run').exists()


def test_no_workers_need_no_second_setting(tiny_config) -> None:
    """torch refuses persistent workers where there are none."""
    options = {'train_dataloader.persistent_workers': True, 'train_dataloader.num_workers': 0}
    cfg = load_config(tiny_config, options=options)
    assert cfg.train_dataloader.persistent_workers is False
    options['train_dataloader.num_workers'] = 2
    assert load_config(tiny_config, options=options).train_dataloader.persistent_workers is True


@pytest.mark.parametrize(
    'options, named',
    [
        ({'model.data_preprocessor.std': [0.0, 1.0, 1.0]}, 'model.data_preprocessor.std'),
        ({'model.test_cfg.mode': 'slid'}, 'model.test_cfg.mode'),
        ({'model.test_cfg.mode': 'slide'}, 'model.test_cfg.crop_size'),
        (
            {
                'model.test_cfg.mode': 'slide',
                'model.test_cfg.crop_size': (8, 8),
                'model.test_cfg.stride': (0, 4),
            },
            'model.test_cfg.stride',
        ),
        (
            {
                'model.test_cfg.mode': 'slide',
                'model.test_cfg.crop_size': (8, 8),
                'model.test_cfg.stride': (4, 9),
            },
            'model.test_cfg.stride=.* is larger than crop_size',
        ),
        ({'train_cfg.val_interval': -2}, 'train_cfg.val_interval must be a whole number'),
        ({'train_cfg.val_begin': 'soon'}, 'train_cfg.val_begin'),
        ({'train_cfg.max_iters': 0}, 'train_cfg.max_iters'),
        ({'val_interval': 2.5}, 'train_cfg.val_interval'),
        ({'default_hooks.checkpoint.interval': '9'}, 'default_hooks.checkpoint.interval'),
        ({'default_hooks.logger.interval': True}, 'default_hooks.logger.interval'),
    ],
)
def test_numbers_that_stop_a_run_in_its_middle_stop_it_at_once(tiny_config, options, named) -> None:
    with pytest.raises(ValueError, match=named):
        load_config(tiny_config, options=options)
