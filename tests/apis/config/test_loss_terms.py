"""A loss term that is logged alone is named before the first step."""

import torch
from mmengine.config import Config
from mmseg.models.losses import DiceLoss
from mmseg.models.segmentors import BaseSegmentor

from mmseg_ext.apis.config.loss_terms import logged_terms
from mmseg_ext.apis.run import training
from mmseg_ext.apis.run.config import load_config

CE, DICE = dict(type='CrossEntropyLoss'), dict(type='DiceLoss', loss_name='dice')
ONE = torch.ones(())


def test_terms_are_found_anywhere_in_a_model():
    heads = dict(decode_head=dict(loss_decode=CE), auxiliary_head=[dict(loss_decode=[CE, DICE])])
    (note,) = logged_terms('model', Config(dict(model=dict(segmentor=heads))).model)
    assert note.startswith("model.segmentor.auxiliary_head.0.loss_decode.1.loss_name='dice': ")
    assert logged_terms('model', dict(loss_decode=dict(DICE, loss_name='my_loss'))) == []
    assert logged_terms('model', None) == []


def test_they_are_those_that_mmengine_leaves_out():
    name = DiceLoss(loss_name='dice').loss_name
    total, logged = BaseSegmentor.parse_losses(None, {'decode.loss_ce': ONE, f'decode.{name}': ONE})
    assert (total, set(logged)) == (1, {'decode.loss_ce', 'decode.dice', 'loss'})


def test_a_training_says_so(tiny_config, tmp_path):
    cfg = load_config(tiny_config, options={'max_iters': 1}, work_dir=tmp_path / 'run')
    cfg.model.decode_head.loss_decode = [CE, DICE]
    training.train(cfg)
    (log,) = (tmp_path / 'run').glob('*/*.log')
    assert log.read_text().count("loss_decode.1.loss_name='dice': a term without") == 1
