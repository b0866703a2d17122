"""What is allowed and seldom meant is told, all of it, and nothing else."""

import pytest
from mmengine.config import Config

from mmseg_ext.apis.config.notes import notes_on, unshuffled
from mmseg_ext.apis.run.config import load_config


@pytest.mark.parametrize(
    ('loader', 'told'),
    [
        (dict(sampler=dict(type='InfiniteSampler', shuffle=False)), True),
        (dict(sampler=None, batch_size=2), True),
        (dict(batch_size=2), True),
        (dict(batch_size=2, shuffle=True), False),
        (dict(batch_sampler=dict(type='Own')), False),
        (dict(sampler=dict(type='DefaultSampler')), False),
        (dict(sampler=dict(type='InfiniteSampler', shuffle=True)), False),
        ({}, False),
    ],
)
def test_images_in_the_order_of_their_list_are_told(loader, told):
    note = unshuffled(Config(dict(train_dataloader=loader)))
    assert (note is not None and note.startswith('train_dataloader does not shuffle')) == told


def test_every_kind_is_told_once(tiny_config):
    cfg = load_config(tiny_config)
    assert notes_on(cfg, ['backbone.weight']) == []
    cfg.train_dataloader.sampler.shuffle = False
    cfg.train_cfg.val_begin = 9
    cfg.default_hooks.checkpoint.by_epoch = True
    cfg.optim_wrapper.paramwise_cfg = dict(custom_keys=dict(hed={}))
    cfg.model.decode_head.loss_decode.loss_name = 'ce'
    words = ['val_begin=9', 'the only checkpoint', 'does not shuffle', "'hed'", "loss_name='ce'"]
    notes = notes_on(cfg, ['head.weight'])
    assert len(notes) == len(words) and all(map(str.__contains__, notes, words))
