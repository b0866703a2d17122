"""Settings for single parameters that mmengine would pass over in silence are named."""

import pytest
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmseg_ext.apis.config.check import UnknownKeyError, check_config
from mmseg_ext.apis.config.paramwise import paramwise_problems, unmatched_keys
from mmseg_ext.apis.run import training
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.utils import register_all_modules

SGD = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.01)


def wrapper(paramwise, **settings):
    return dict(type='OptimWrapper', optimizer=SGD, paramwise_cfg=paramwise, **settings)


def network():
    return nn.ModuleDict(dict(backbone=nn.Linear(2, 3), decode_head=nn.Linear(3, 2)))


@pytest.mark.parametrize(
    ('paramwise', 'message'),
    [
        (dict(norm_decay_mul=0), 'paramwise_cfg.norm_decay_mul: nothing reads it; did you mean'),
        (dict(rate=2), 'paramwise_cfg.rate: nothing reads it; it has custom_keys, bias_lr_mult, '),
        (dict(custom_keys=dict(head=dict(lr_mul=2))), 'custom_keys.head.lr_mul: nothing reads it'),
        (dict(custom_keys=dict(head=2)), 'custom_keys.head must be a dict, got 2'),
    ],
)
def test_a_name_that_nothing_reads(tiny_config, paramwise, message):
    register_all_modules()
    cfg = Config.fromfile(tiny_config)
    cfg.optim_wrapper.paramwise_cfg = paramwise
    with pytest.raises(UnknownKeyError) as error:
        check_config(cfg)
    assert message in str(error.value)
    (problem,) = paramwise_problems(dict(constructor='Parts', segmentor=wrapper(paramwise)))
    assert problem.startswith('optim_wrapper.segmentor.paramwise_cfg.')


@pytest.mark.parametrize(
    ('paramwise', 'settings'),
    [
        (dict(bias_lr_mult=2, norm_decay_mult=0, bypass_duplicate=True), {}),
        (dict(custom_keys={'head': dict(lr_mult=2, decay_mult=0, momentum=0.5)}), {}),
        (dict(decay_rate=0.9), dict(constructor='LearningRateDecayOptimizerConstructor')),
        (dict(custom_keys=None), {}),
    ],
)
def test_what_is_read_passes(paramwise, settings):
    assert list(paramwise_problems(wrapper(paramwise, **settings))) == []
    assert list(paramwise_problems(None)) == []


@pytest.mark.parametrize('key', ['backbone', 'head.bias', '.weight', 'bacbone', 'norm', 'bias.'])
def test_a_key_is_unmatched_where_mmengine_changes_no_parameter(key):
    optim = wrapper(dict(custom_keys={key: dict(lr_mult=3)}))
    names = [name for name, _ in network().named_parameters()]
    built = build_optim_wrapper(network(), ConfigDict(optim))
    changed = {group['lr'] for group in built.optimizer.param_groups} != {0.1}
    assert (unmatched_keys(optim, names) is None) == changed


def test_the_note_says_what_was_meant():
    optim = dict(segmentor=wrapper(dict(custom_keys={'bacbone': {}, 'zz': {}, 'head': {}})))
    note = unmatched_keys(optim, ['backbone.weight', 'decode_head.weight'])
    first, second = note.split('; optim_wrapper')
    assert first.startswith("optim_wrapper.segmentor.paramwise_cfg.custom_keys: 'bacbone' is in ")
    assert first.endswith('did you mean backbone?') and second.endswith('leave it out')


def test_a_training_says_what_does_nothing(tiny_config, tmp_path):
    cfg = load_config(tiny_config, options={'max_iters': 1}, work_dir=tmp_path / 'run')
    cfg.optim_wrapper.paramwise_cfg = dict(custom_keys=dict(bacbone=dict(lr_mult=2)))
    cfg.model.backbone.norm_eval = True
    training.train(cfg)
    (log,) = (tmp_path / 'run').glob('*/*.log')
    text = log.read_text()
    assert text.count("custom_keys: 'bacbone' is in the name of no parameter") == 1
    assert text.count('batch norms frozen as they were made normalise nothing: ') == 1
