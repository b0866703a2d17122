"""The teacher moves once for each step of the optimiser, and not in between."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from mmseg_ext.engine.ema_teacher import EMATeacherHook
from mmseg_ext.engine.semi_constructor import SemiOptimWrapperConstructor


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.seen = []

    def update_teacher(self):
        self.seen.append(round(self.weight.item(), 4))


def run(steps, *, counts=1, wrap=lambda wrapper: wrapper, skipped=()):
    model = Model()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1.0), accumulative_counts=counts)
    runner = SimpleNamespace(model=model, optim_wrapper=wrap(wrapper))
    hook = EMATeacherHook()
    hook.before_train(runner)
    for index in range(steps):
        if index not in skipped:  # as a loss scaler leaves a step out
            wrapper.update_params((model.weight * 0.1).sum())
        hook.after_train_iter(runner, index)
    hook.after_train(runner)
    return model, wrapper


def test_after_every_step_with_the_weights_that_it_left():
    assert run(3)[0].seen == [0.9, 0.8, 0.7]


def test_accumulated_gradients_move_nothing():
    assert run(6, counts=3)[0].seen == [0.9, 0.8]


def test_a_step_that_is_left_out_moves_nothing():
    assert run(4, skipped=(1, 2))[0].seen == [0.9, 0.8]


def test_several_optimisers():
    assert run(2, wrap=lambda wrapper: OptimWrapperDict(one=wrapper))[0].seen == [0.9, 0.8]


def test_it_lets_go_at_the_end():
    model, wrapper = run(1)
    wrapper.update_params((model.weight * 0.1).sum())
    assert model.seen == [0.9] and not wrapper.optimizer._optimizer_step_post_hooks


def test_a_model_without_a_teacher_is_refused():
    runner = SimpleNamespace(model=nn.Linear(1, 1), optim_wrapper=None)
    with pytest.raises(ValueError, match=r'model.type=Linear has no teacher: take SemiSegmentor'):
        EMATeacherHook().before_train(runner)


def test_the_optimiser_holds_the_students_alone():
    model = nn.ModuleDict(
        dict(student=nn.Linear(2, 2), teacher=nn.Linear(2, 2), peer=nn.Linear(2, 2))
    )
    model['teacher'].requires_grad_(False)
    build = SemiOptimWrapperConstructor(
        dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1.0)),
        dict(custom_keys={'student': dict(lr_mult=0.1)}),
    )
    groups = build(model).optimizer.param_groups
    found = {id(p): group['lr'] for group in groups for p in group['params']}
    rates = dict(student=0.1, peer=1.0)
    expected = {id(p): rates[name] for name in rates for p in model[name].parameters()}
    assert found == expected and len(found) == 4
